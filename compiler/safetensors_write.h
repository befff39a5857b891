// Writes .safetensors files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace resnetc {

struct TensorToWrite {
  std::string name;
  std::vector<int64_t> shape;
  std::shared_ptr<const std::vector<float>> values;  // as many as the shape says
};

// float32, in the order given. Names are unique. Throws Error naming the file and the reason.
void write_safetensors(const std::filesystem::path& file, const std::vector<TensorToWrite>& tensors);

}  // namespace resnetc
