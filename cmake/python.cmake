# RESNETC_PYTHON: the interpreter for test scripts: .venv's, which has tests/requirements.txt, or else the system's.

find_program(RESNETC_PYTHON NAMES python3 python PATHS "${PROJECT_SOURCE_DIR}/.venv/bin" NO_DEFAULT_PATH NO_CACHE)
if(NOT RESNETC_PYTHON)
  find_program(RESNETC_PYTHON NAMES python3 REQUIRED NO_CACHE)
endif()
