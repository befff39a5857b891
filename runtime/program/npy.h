// NumPy's .npy files of little-endian float32 in C order, read and written a few images at a time so that any number
// of images fits in memory. All throw Error; its message starts with the path.
#ifndef RESNETC_RUNTIME_PROGRAM_NPY_H
#define RESNETC_RUNTIME_PROGRAM_NPY_H

#include <cstdint>
#include <string>
#include <vector>

#include "output_file.h"

namespace resnetc::program {

// N x shape, as NumPy prints it.
std::string shape_text(const std::string& n, const std::vector<std::uint64_t>& shape);

// Reads N x shape; versions 1.0, 2.0 and 3.0 of the format.
class NpyReader {
 public:
  NpyReader(const std::string& path, const std::vector<std::uint64_t>& shape);

  std::uint64_t count() const { return count_; }

  // Reads the next up to n images into values; the number read, 0 at the end.
  std::uint64_t read(float* values, std::uint64_t n);

 private:
  void read_bytes(void* bytes, std::size_t size, const char* what);
  void check_file_size() const;

  std::string path_;
  File file_;
  std::uint64_t count_ = 0;        // N
  std::uint64_t left_ = 0;         // images not read yet
  std::uint64_t image_bytes_ = 4;  // of one image
};

// Writes N x shape, N as many as were added. The file appears under its name, whole, when finish returns; without
// finish nothing is left.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, const std::vector<std::uint64_t>& shape);

  void write(const float* values, std::uint64_t n);
  void finish();

 private:
  void write_header();

  OutputFile file_;
  std::vector<std::uint64_t> shape_;
  std::uint64_t count_ = 0;
  std::uint64_t image_values_ = 1;
};

}  // namespace resnetc::program

#endif
