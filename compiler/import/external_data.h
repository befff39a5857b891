// Tensors that an ONNX file keeps in files beside it.
#pragma once

#include <filesystem>
#include <string>

namespace onnx {
class TensorProto;
}

namespace resnetc {

// The bytes of a tensor that must have so many. Only regular files in the folder of the model, or below it, are read,
// symbolic links resolved. Throws Error that says what is wrong, but not where.
std::string read_external_data(const onnx::TensorProto& tensor, const std::filesystem::path& model, size_t bytes);

}  // namespace resnetc
