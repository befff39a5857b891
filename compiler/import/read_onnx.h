// The messages of an ONNX file.
#pragma once

#include <filesystem>

namespace onnx {
class ModelProto;
}

namespace resnetc {

// Throws Error naming the file if it cannot be read or is no ONNX model.
void read_onnx(const std::filesystem::path& file, onnx::ModelProto& model);

}  // namespace resnetc
