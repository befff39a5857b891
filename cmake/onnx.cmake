# resnetc_onnx: the reader of ONNX files that protoc makes of ONNX's own schema, onnx/onnx.proto of Debian's libonnx-dev.
# protobuf is linked statically, so that an installed resnetc does not need it.

set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)
find_file(RESNETC_ONNX_SCHEMA onnx/onnx.proto PATHS /usr/include REQUIRED)

set(resnetc_onnx_folder "${PROJECT_BINARY_DIR}/onnx")
file(MAKE_DIRECTORY "${resnetc_onnx_folder}/onnx")
cmake_path(GET RESNETC_ONNX_SCHEMA PARENT_PATH schema_folder)
cmake_path(GET schema_folder PARENT_PATH schema_root)
add_custom_command(
  OUTPUT "${resnetc_onnx_folder}/onnx/onnx.pb.cc" "${resnetc_onnx_folder}/onnx/onnx.pb.h"
  COMMAND protobuf::protoc "--proto_path=${schema_root}" "--cpp_out=${resnetc_onnx_folder}" "${RESNETC_ONNX_SCHEMA}"
  DEPENDS "${RESNETC_ONNX_SCHEMA}"
  VERBATIM)
add_library(resnetc_onnx STATIC "${resnetc_onnx_folder}/onnx/onnx.pb.cc")
target_include_directories(resnetc_onnx SYSTEM PUBLIC "${resnetc_onnx_folder}")
target_link_libraries(resnetc_onnx PUBLIC protobuf::libprotobuf-lite)
