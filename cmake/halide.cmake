# Halide::Halide from the wheel that scripts/setup puts into .venv, or from HALIDE_ROOT (a folder with include/ and
# lib64/ or lib/). The wheel's own CMake package asks for CMake 3.28; this works from 3.25 on and makes Halide.h a system
# header, so that our warnings do not reach it.

set(HALIDE_ROOT "" CACHE PATH "A Halide installation to use in place of the one in .venv")

if(HALIDE_ROOT)
  set(resnetc_halide_candidates "${HALIDE_ROOT}")
else()
  file(GLOB resnetc_halide_candidates "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/halide")
endif()

find_path(resnetc_halide_root include/Halide.h PATHS ${resnetc_halide_candidates} NO_DEFAULT_PATH NO_CACHE)
find_library(RESNETC_HALIDE_LIBRARY Halide PATHS ${resnetc_halide_candidates} PATH_SUFFIXES lib64 lib
             NO_DEFAULT_PATH NO_CACHE)
if(NOT resnetc_halide_root OR NOT RESNETC_HALIDE_LIBRARY)
  if(HALIDE_ROOT)
    message(FATAL_ERROR "No Halide in HALIDE_ROOT=${HALIDE_ROOT}: it must hold include/Halide.h and lib64/libHalide.so.")
  endif()
  message(FATAL_ERROR "Halide is not there yet: run scripts/setup, or give -DHALIDE_ROOT=DIR.")
endif()
string(REGEX REPLACE "/$" "" resnetc_halide_root "${resnetc_halide_root}")
set(resnetc_halide_include "${resnetc_halide_root}/include")

foreach(part MAJOR MINOR PATCH)
  file(STRINGS "${resnetc_halide_include}/HalideRuntime.h" line REGEX "^#define HALIDE_VERSION_${part} ")
  string(REGEX REPLACE "[^0-9]" "" resnetc_halide_${part} "${line}")
endforeach()
set(RESNETC_HALIDE_VERSION "${resnetc_halide_MAJOR}.${resnetc_halide_MINOR}.${resnetc_halide_PATCH}")
if(NOT resnetc_halide_MAJOR EQUAL 21)
  message(FATAL_ERROR "Halide 21 is needed, but ${resnetc_halide_include} is of "
                      "${RESNETC_HALIDE_VERSION}: run scripts/setup.")
endif()

if(NOT TARGET Halide::Halide)
  add_library(Halide::Halide SHARED IMPORTED)
  set_target_properties(Halide::Halide PROPERTIES
    IMPORTED_LOCATION "${RESNETC_HALIDE_LIBRARY}"
    IMPORTED_SONAME libHalide.so
    INTERFACE_INCLUDE_DIRECTORIES "${resnetc_halide_include}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${resnetc_halide_include}"
    INTERFACE_COMPILE_FEATURES cxx_std_17
    INTERFACE_COMPILE_DEFINITIONS "HALIDE_ENABLE_RTTI;HALIDE_WITH_EXCEPTIONS")
endif()

# Installs libHalide.so (165 MB) as lib/resnetc/libHalide.so, beside it the autoschedulers that `resnetc tune --baseline`
# loads (2.6 MB), and lets `target`, installed in bin/, find it there: the installed tree needs neither .venv nor a build
# folder.
function(resnetc_install_halide target)
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/resnetc")
  get_filename_component(folder "${RESNETC_HALIDE_LIBRARY}" DIRECTORY)
  file(GLOB autoschedulers "${folder}/libautoschedule_adams2019.so" "${folder}/libautoschedule_anderson2021.so"
       "${folder}/libautoschedule_li2018.so" "${folder}/libautoschedule_mullapudi2016.so")
  install(FILES "${RESNETC_HALIDE_LIBRARY}" ${autoschedulers} DESTINATION lib/resnetc
          PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  set(licence "${resnetc_halide_root}/share/doc/Halide/LICENSE.txt")
  if(EXISTS "${licence}")
    install(FILES "${licence}" DESTINATION share/doc/resnetc RENAME LICENSE.Halide.txt)
  endif()
endfunction()
