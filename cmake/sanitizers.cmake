# resnetc_sanitize(target): compiles and links `target` with the sanitizers of RESNETC_SANITIZE (presets asan and tsan).
# Not for what is linked into emitted programs: those are static, and no sanitizer can be linked statically. Preset tsan
# emits no programs, and has the runtime itself watched.

set(RESNETC_SANITIZE "" CACHE STRING "Sanitizers for the compiler and the tests, such as address,undefined")

function(resnetc_sanitize target)
  if(RESNETC_SANITIZE)
    # g++ 12 with -fsanitize=address takes members inside libstdc++'s <regex> for uninitialised (GCC bug 105562).
    target_compile_options(${target} PRIVATE -fsanitize=${RESNETC_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer -Wno-error=maybe-uninitialized)
    target_link_options(${target} PUBLIC -fsanitize=${RESNETC_SANITIZE})
  endif()
endfunction()
