#include "compiler/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "compiler/json_reader.h"
#include "compiler/safetensors_header.h"

namespace resnetc {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian and read in place");

constexpr uint64_t most_header_bytes = 100'000'000;

struct ElementType {
  std::string_view name;
  uint64_t bytes;
};
constexpr ElementType element_types[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8},
};

// 0 for a type that is not known.
uint64_t element_bytes(std::string_view dtype) {
  for (const ElementType& type : element_types)
    if (type.name == dtype) return type.bytes;
  return 0;
}

float from_f16(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16, exponent = (half >> 10) & 0x1fu, mantissa = half & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t widened = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

float from_bf16(uint16_t half) {
  return std::bit_cast<float>(uint32_t{half} << 16);
}

template <float (*convert)(uint16_t)>
void convert_all(const std::byte* from, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i++) {
    uint16_t half;
    std::memcpy(&half, from + 2 * i, 2);
    out[i] = convert(half);
  }
}

// Bytes that the shape takes. Throws std::string saying what is wrong.
uint64_t byte_count(const HeaderEntry& entry) {
  uint64_t bytes = element_bytes(entry.dtype);
  if (bytes == 0) throw fmt::format("dtype {} is unknown; convert it to F32, F16 or BF16", quote(entry.dtype));
  for (uint64_t d : entry.shape)
    if (__builtin_mul_overflow(bytes, d, &bytes))
      throw fmt::format("shape [{}] overflows", fmt::join(entry.shape, ","));
  return bytes;
}

// Every tensor must lie inside the data, be as large as its shape says, and start where the one before it ends, as the
// format demands. Throws std::string.
void check_place(const HeaderEntry& entry, uint64_t start, uint64_t data_bytes) {
  const uint64_t wanted = byte_count(entry);
  if (entry.begin > entry.end)
    throw fmt::format("data_offsets [{},{}] end before they begin; write the file again", entry.begin, entry.end);
  if (entry.end > data_bytes)
    throw fmt::format("data_offsets [{},{}] go beyond the {} bytes of data; the file is cut short, copy it again",
                      entry.begin, entry.end, data_bytes);
  if (entry.end - entry.begin != wanted)
    throw fmt::format("data_offsets [{},{}] hold {} bytes, but {}[{}] takes {}; write the file again", entry.begin,
                      entry.end, entry.end - entry.begin, entry.dtype, fmt::join(entry.shape, ","), wanted);
  if (entry.begin < start)
    throw fmt::format("data_offsets [{},{}] overlap another tensor, which ends at {}; write the file again",
                      entry.begin, entry.end, start);
  if (entry.begin > start)
    throw fmt::format("data_offsets [{},{}] leave a gap after byte {}; write the file again", entry.begin, entry.end,
                      start);
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

bool converts_to_float(std::string_view dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

void convert_to_float(const SafetensorsTensor& tensor, size_t first, std::span<float> out) {
  if (tensor.dtype == "F32") {
    if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data() + 4 * first, out.size_bytes());
  } else if (tensor.dtype == "F16") {
    convert_all<from_f16>(tensor.bytes.data() + 2 * first, out);
  } else {
    convert_all<from_bf16>(tensor.bytes.data() + 2 * first, out);
  }
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  map();
  try {
    read_tensors();
  } catch (...) {
    munmap(mapping_, size_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  munmap(mapping_, size_);
}

void SafetensorsFile::map() {
  const auto fail = [&](std::string_view what) { throw Error(fmt::format("{}: {}", path_.string(), what)); };
  // Opening a pipe would wait for its other end.
  const Descriptor file{open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail(fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status = {};
  if (fstat(file.fd, &status) != 0) fail(fmt::format("cannot be read: {}", std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ < 8) fail(fmt::format("is not a safetensors file: it has {} bytes, its header alone takes more", size_));
  mapping_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapping_ == MAP_FAILED) fail(fmt::format("cannot be mapped into memory: {}", std::strerror(errno)));
}

void SafetensorsFile::read_tensors() {
  const auto fail = [&](std::string_view what) { throw Error(fmt::format("{}: {}", path_.string(), what)); };
  const auto* bytes = static_cast<const std::byte*>(mapping_);
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes, 8);
  if (header_bytes > size_ - 8)
    fail(fmt::format("is not a safetensors file, or cut short: its header should have {} bytes, but the file has {}",
                     header_bytes, size_));
  if (header_bytes > most_header_bytes)
    fail(fmt::format("has a header of {} bytes; at most {} are allowed", header_bytes, most_header_bytes));
  std::vector<HeaderEntry> entries = parse_safetensors_header(
      {reinterpret_cast<const char*>(bytes) + 8, static_cast<size_t>(header_bytes)}, path_.string());
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });

  const std::span data(bytes + 8 + header_bytes, size_ - 8 - static_cast<size_t>(header_bytes));
  uint64_t start = 0;
  for (HeaderEntry& entry : entries) {
    try {
      check_place(entry, start, data.size());
    } catch (const std::string& what) {
      fail(fmt::format("tensor {}: {}", quote(entry.name), what));
    }
    start = entry.end;
    tensors_.push_back({std::move(entry.name),
                        std::move(entry.dtype),
                        {entry.shape.begin(), entry.shape.end()},
                        data.subspan(entry.begin, entry.end - entry.begin)});
  }
  if (start != data.size())
    fail(fmt::format("has {} bytes after its last tensor that belong to none; write the file again",
                     data.size() - start));
  for (size_t i = 0; i < tensors_.size(); i++) index_.emplace(tensors_[i].name, i);
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace resnetc
