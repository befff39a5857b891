// A .safetensors file, its header checked before any use: whatever the bytes are, every tensor that the reader hands
// out lay inside the file when it was opened and has the size that its shape says. Values are read when they are asked
// for, not mapped: a file that is cut short meanwhile is an error, not a signal.
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
  uint64_t offset = 0, bytes = 0;  // in the file
};

// Whether elements of that type can become float32 without loss: F32, F16, BF16.
bool converts_to_float(std::string_view dtype);

class SafetensorsFile {
 public:
  // Throws Error "FILE: tensor "x": what: fix".
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // In the order of their data.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  // Null if there is none of that name.
  const SafetensorsTensor* find(std::string_view name) const;
  // Elements [first, first + out.size()) of a tensor whose type converts to float; the caller keeps to its element
  // count. Throws Error.
  void read(const SafetensorsTensor& tensor, size_t first, std::span<float> out) const;

 private:
  std::filesystem::path path_;
  int file_ = -1;
  uint64_t size_ = 0;
  std::vector<SafetensorsTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;

  void open_file();
  void read_tensors();
  void read_bytes(uint64_t offset, void* to, size_t count) const;
  [[noreturn]] void fail(std::string_view what) const;
};

}  // namespace resnetc
