#include "compiler/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "compiler/half.h"
#include "compiler/json_reader.h"
#include "compiler/safetensors_header.h"

namespace resnetc {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian and read as they are");

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

}  // namespace

bool converts_to_float(std::string_view dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  try {
    open_file();
    read_tensors();
  } catch (...) {
    if (file_ >= 0) close(file_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  close(file_);
}

void SafetensorsFile::fail(std::string_view what) const {
  throw Error(fmt::format("{}: {}", path_.string(), what));
}

void SafetensorsFile::open_file() {
  // Opening a pipe would wait for its other end.
  file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) fail(fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status = {};
  if (fstat(file_, &status) != 0) fail(fmt::format("cannot be read: {}", std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ < 8) fail(fmt::format("is not a safetensors file: it has {} bytes, its header alone takes more", size_));
}

void SafetensorsFile::read_bytes(uint64_t offset, void* to, size_t count) const {
  for (size_t done = 0; done < count;) {
    const ssize_t got = pread(file_, static_cast<char*>(to) + done, count - done, static_cast<off_t>(offset + done));
    if (got == 0) fail("became shorter while it was read; try again once it is complete");
    if (got < 0 && errno != EINTR) fail(fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got > 0) done += static_cast<size_t>(got);
  }
}

void SafetensorsFile::read_tensors() {
  uint64_t header_bytes;
  read_bytes(0, &header_bytes, 8);
  if (header_bytes > size_ - 8)
    fail(fmt::format("is not a safetensors file, or cut short: its header should have {} bytes, but the file has {}",
                     header_bytes, size_));
  if (header_bytes > most_header_bytes)
    fail(fmt::format("has a header of {} bytes; at most {} are allowed", header_bytes, most_header_bytes));
  std::string header(header_bytes, '\0');
  read_bytes(8, header.data(), header.size());
  std::vector<HeaderEntry> entries = parse_safetensors_header(header, path_.string());
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });

  const uint64_t data = 8 + header_bytes, data_bytes = size_ - data;
  uint64_t start = 0;
  tensors_.reserve(entries.size());
  for (HeaderEntry& entry : entries) {
    try {
      check_place(entry, start, data_bytes);
    } catch (const std::string& what) {
      fail(fmt::format("tensor {}: {}", quote(entry.name), what));
    }
    start = entry.end;
    tensors_.push_back({std::move(entry.name),
                        std::move(entry.dtype),
                        {entry.shape.begin(), entry.shape.end()},
                        data + entry.begin,
                        entry.end - entry.begin});
  }
  if (start != data_bytes)
    fail(fmt::format("has {} bytes after its last tensor that belong to none; write the file again",
                     data_bytes - start));
  for (size_t i = 0; i < tensors_.size(); i++) index_.emplace(tensors_[i].name, i);
}

void SafetensorsFile::read(const SafetensorsTensor& tensor, size_t first, std::span<float> out) const {
  if (tensor.dtype == "F32") return read_bytes(tensor.offset + 4 * first, out.data(), out.size_bytes());
  const bool is_f16 = tensor.dtype == "F16";
  uint16_t halves[4096];
  for (size_t done = 0; done < out.size();) {
    const size_t count = std::min(out.size() - done, std::size(halves));
    read_bytes(tensor.offset + 2 * (first + done), halves, 2 * count);
    for (size_t i = 0; i < count; i++) out[done + i] = is_f16 ? from_f16(halves[i]) : from_bf16(halves[i]);
    done += count;
  }
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace resnetc
