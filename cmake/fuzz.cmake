# RESNETC_FUZZ (preset fuzz, clang only): everything is built with coverage for libFuzzer and with sanitizers, for the
# targets of tests/fuzz.

option(RESNETC_FUZZ "Build the fuzz targets of tests/fuzz" OFF)

if(RESNETC_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "RESNETC_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
endif()
