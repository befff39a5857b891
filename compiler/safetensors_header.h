// The JSON header of a safetensors file, parsed without building a tree: memory follows the number of tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace resnetc {

// As written, not yet compared with the data. Dimensions and offsets are below 2^63.
struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Names are unique. Throws Error naming the file and the tensor.
std::vector<HeaderEntry> parse_safetensors_header(std::string_view text, const std::string& file);

}  // namespace resnetc
