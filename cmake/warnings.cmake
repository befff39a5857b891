# resnetc_warnings(target): the warnings that our own code is held to; errors where RESNETC_WERROR is on (dev, asan).
# Files that are compiled together (release) see each other's names, so -Wshadow is not for them.

option(RESNETC_WERROR "Treat warnings as errors" OFF)

function(resnetc_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic
    $<$<NOT:$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wshadow>
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
    $<$<BOOL:${RESNETC_WERROR}>:-Werror>)
endfunction()
