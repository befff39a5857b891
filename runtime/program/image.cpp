#include "image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "decode.h"
#include "error.h"

namespace resnetc::program {

namespace {

constexpr std::uint64_t max_pixels = std::uint64_t{1} << 28;
constexpr std::uint32_t max_side = 1 << 20;

struct Source : ByteSource {
  explicit Source(const std::string& path) : ByteSource{} { file = open(path.c_str(), O_RDONLY | O_CLOEXEC); }
  ~Source() {
    if (file >= 0) close(file);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
};

[[noreturn]] void fail(const std::string& path, const std::string& problem) {
  throw Error(path + ": " + problem);
}

bool starts_with(const ByteSource& source, const void* magic, std::size_t size) {
  return source.end - source.begin >= size && std::memcmp(source.bytes + source.begin, magic, size) == 0;
}

}  // namespace

bool fill(ByteSource* source) {
  if (source->begin < source->end) return true;
  ssize_t count = 0;
  do {
    count = read(source->file, source->bytes, sizeof source->bytes);
  } while (count < 0 && errno == EINTR);
  if (count < 0) source->error = errno;
  source->begin = 0;
  source->end = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0;
}

bool start_picture(Decoding* decoding, std::uint32_t width, std::uint32_t height) {
  if (width == 0 || height == 0 || std::uint64_t{width} * height > max_pixels) {
    std::snprintf(decoding->message, sizeof decoding->message, "has %u x %u pixels; from 1 to %llu are taken", width,
                  height, static_cast<unsigned long long>(max_pixels));
    return false;
  }
  if (width > max_side || height > max_side) {
    std::snprintf(decoding->message, sizeof decoding->message, "has %u x %u pixels; up to %u a side are taken", width,
                  height, max_side);
    return false;
  }
  decoding->width = static_cast<int>(width);
  decoding->height = static_cast<int>(height);
  decoding->unwanted = !decoding->sink->start(decoding->width, decoding->height);
  return !decoding->unwanted;
}

bool allocate_pixels(Decoding* decoding, std::size_t bytes) {
  decoding->pixels = static_cast<std::uint8_t*>(std::malloc(bytes));
  if (decoding->pixels != nullptr) return true;
  std::snprintf(decoding->message, sizeof decoding->message, "not enough memory for %d x %d pixels", decoding->width,
                decoding->height);
  return false;
}

bool read_image(const std::string& path, RowSink* sink) {
  const auto source = std::make_unique<Source>(path);
  if (source->file < 0) fail(path, std::strerror(errno));
  struct stat status {};
  if (fstat(source->file, &status) == 0 && S_ISDIR(status.st_mode)) fail(path, "is a directory");

  fill(source.get());
  // A pipe may give its first bytes one by one.
  while (source->end > 0 && source->end < 8) {
    const ssize_t count = read(source->file, source->bytes + source->end, sizeof source->bytes - source->end);
    if (count <= 0) break;
    source->end += static_cast<std::size_t>(count);
  }
  if (source->error != 0) fail(path, std::strerror(source->error));
  if (source->end == 0) fail(path, "is empty");

  Decoding decoding{};
  decoding.sink = sink;
  bool decoded = false;
  if (starts_with(*source, "\xff\xd8\xff", 3)) {
    decoded = decode_jpeg(source.get(), &decoding);
  } else if (starts_with(*source, "\x89PNG\r\n\x1a\n", 8)) {
    decoded = decode_png(source.get(), &decoding);
  } else {
    fail(path, "is neither a JPEG nor a PNG file");
  }
  std::free(decoding.pixels);
  if (decoded) return true;
  if (decoding.unwanted) return false;
  if (source->error != 0) fail(path, std::strerror(source->error));
  fail(path, decoding.truncated ? "is truncated" : decoding.message);
}

}  // namespace resnetc::program
