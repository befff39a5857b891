#include "npy.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"
#include "npy_header.h"

namespace resnetc::program {

namespace {

constexpr char magic[] = "\x93NUMPY";
constexpr std::size_t magic_size = 6;
constexpr std::size_t max_header = 1 << 16;
// Room for a shape of any N, and a multiple of 64 as NumPy aligns it: the header is rewritten when N is known.
constexpr std::size_t written_header = 192;

[[noreturn]] void fail(const std::string& path, const std::string& problem) {
  throw Error(path + ": " + problem);
}

[[noreturn]] void fail_by_errno(const std::string& path, int error) {
  fail(path, std::strerror(error));
}

// The product of `first` and the extents; false if it does not fit.
bool multiply(std::uint64_t first, const std::vector<std::uint64_t>& extents, std::uint64_t* product) {
  *product = first;
  for (const std::uint64_t extent : extents) {
    if (__builtin_mul_overflow(*product, extent, product)) return false;
  }
  return true;
}

}  // namespace

std::string shape_text(const std::string& n, const std::vector<std::uint64_t>& shape) {
  std::string text = "(" + n;
  for (const std::uint64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  const std::size_t extents = shape.size() + (n.empty() ? 0 : 1);
  return text + (extents == 1 ? ",)" : ")");
}

NpyReader::NpyReader(const std::string& path, const std::vector<std::uint64_t>& shape)
    : path_(path), file_(std::fopen(path.c_str(), "rbe")) {
  if (file_ == nullptr) fail_by_errno(path_, errno);
  struct stat status {};
  if (fstat(fileno(file_.get()), &status) == 0 && S_ISDIR(status.st_mode)) fail(path_, "is a directory");

  unsigned char start[magic_size + 2];
  const std::size_t got = std::fread(start, 1, sizeof start, file_.get());
  if (got == 0 && std::feof(file_.get())) fail(path_, "is empty");
  if (got < sizeof start || std::memcmp(start, magic, magic_size) != 0) fail(path_, "is not a .npy file");
  const int major = start[magic_size], minor = start[magic_size + 1];
  if (major < 1 || major > 3 || minor != 0) {
    fail(path_,
         "is of .npy version " + std::to_string(major) + "." + std::to_string(minor) + "; 1.0, 2.0 and 3.0 are taken");
  }
  unsigned char length[4] = {};
  read_bytes(length, major == 1 ? 2 : 4, "its header");
  const std::size_t size =
      length[0] | std::size_t{length[1]} << 8 | std::size_t{length[2]} << 16 | std::size_t{length[3]} << 24;
  if (size > max_header) fail(path_, "has a header of " + std::to_string(size) + " bytes; that is no array of images");
  std::string text(size, '\0');
  read_bytes(text.data(), size, "its header");
  NpyHeader header;
  if (!parse_npy_header(text, &header)) fail(path_, "has a damaged .npy header");

  if (header.dtype != "<f4") {
    fail(path_, "has values of type " + header.dtype +
                    "; <f4 is taken, little-endian float32: save it with numpy.save(file, x.astype(\"<f4\"))");
  }
  if (header.fortran_order) {
    fail(path_, "is in Fortran order; C order is taken: save it with numpy.save(file, numpy.ascontiguousarray(x))");
  }
  const bool fits =
      header.shape.size() == shape.size() + 1 && std::equal(shape.begin(), shape.end(), header.shape.begin() + 1);
  if (!fits) {
    fail(path_, "has the shape " + shape_text("", header.shape) + "; the net takes " + shape_text("N", shape));
  }
  count_ = left_ = header.shape[0];
  std::uint64_t all = 0;
  if (!multiply(sizeof(float), shape, &image_bytes_) || !multiply(image_bytes_, {count_}, &all)) {
    fail(path_, "is too large: " + shape_text("", header.shape));
  }
  check_file_size();
}

void NpyReader::read_bytes(void* bytes, std::size_t size, const char* what) {
  if (std::fread(bytes, 1, size, file_.get()) == size) return;
  if (std::ferror(file_.get())) fail_by_errno(path_, errno);
  fail(path_, std::string("is truncated in ") + what);
}

// Says before anything is computed that the file is not as long as its shape needs. Pipes have no size.
void NpyReader::check_file_size() const {
  struct stat status {};
  if (fstat(fileno(file_.get()), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const off_t position = ftello(file_.get());
  if (position < 0 || status.st_size < position) return;
  const std::uint64_t rest = static_cast<std::uint64_t>(status.st_size - position);
  if (rest == count_ * image_bytes_) return;
  fail(path_, (rest < count_ * image_bytes_ ? "is truncated: " : "has bytes after its values: ") +
                  std::to_string(count_ * image_bytes_) + " bytes of values by its shape, " + std::to_string(rest) +
                  " in the file");
}

std::uint64_t NpyReader::read(float* values, std::uint64_t n) {
  if (n > left_) n = left_;
  if (n > 0) read_bytes(values, n * image_bytes_, "its values");
  left_ -= n;
  return n;
}

NpyWriter::NpyWriter(const std::string& path, const std::vector<std::uint64_t>& shape) : file_(path), shape_(shape) {
  if (!multiply(1, shape, &image_values_)) fail(path, "would be too large");
  write_header();
}

void NpyWriter::write_header() {
  std::string text =
      "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape_text(std::to_string(count_), shape_) + ", }";
  const std::size_t length = written_header - magic_size - 4;
  text.resize(length - 1, ' ');
  text += '\n';
  std::string header(magic, magic_size);
  header += {'\x01', '\x00', static_cast<char>(length & 255), static_cast<char>(length >> 8)};
  file_.write((header + text).data(), written_header);
}

void NpyWriter::write(const float* values, std::uint64_t n) {
  file_.write(values, n * image_values_ * sizeof(float));
  count_ += n;
}

void NpyWriter::finish() {
  file_.go_to_start();
  write_header();
  file_.finish();
}

}  // namespace resnetc::program
