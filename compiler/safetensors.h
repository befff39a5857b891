// A .safetensors file, mapped into memory and checked before any use: whatever the bytes are, every tensor that the
// reader hands out lies inside the file and has the size that its shape says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", "I64", …
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // at any alignment; they live as long as the file object
};

// Whether elements of that type can become float32 without loss: F32, F16, BF16.
bool converts_to_float(std::string_view dtype);

// Elements [first, first + out.size()) of a tensor of such a type; the caller keeps to its element count.
void convert_to_float(const SafetensorsTensor& tensor, size_t first, std::span<float> out);

class SafetensorsFile {
 public:
  // Throws Error "FILE: tensor "x": what: fix". The file must not shrink while it is mapped.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // In the order of their data.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  // Null if there is none of that name.
  const SafetensorsTensor* find(std::string_view name) const;

 private:
  std::filesystem::path path_;
  void* mapping_ = nullptr;
  size_t size_ = 0;
  std::vector<SafetensorsTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;

  void map();
  void read_tensors();
};

}  // namespace resnetc
