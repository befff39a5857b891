# resnetc_warnings(target): the warnings that our own code is held to; errors where RESNETC_WERROR is on (dev, asan).

option(RESNETC_WERROR "Treat warnings as errors" OFF)

function(resnetc_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wpedantic
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
    $<$<BOOL:${RESNETC_WERROR}>:-Werror>)
endfunction()
