// JPEG and PNG files as an emitted program reads them.
#include <zlib.h>

#include <cstring>
#include <random>

#include "runtime/program/error.h"
#include "runtime/program/image.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"

using namespace resnetc::test;

namespace {

struct Sink : resnetc::program::RowSink {
  int width = 0, height = 0, rows = 0;
  unsigned sum = 0;

  // Larger ones only take longer.
  bool start(int picture_width, int picture_height) override {
    width = picture_width;
    height = picture_height;
    return int64_t{width} * height <= 1 << 22;
  }
  void row(const uint8_t* rgb) override {
    rows++;
    for (int i = 0; i < 3 * width; i++) sum += rgb[i];
  }
};

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

void set_big_endian(uint8_t* bytes, uint32_t value) {
  for (int i = 0; i < 4; i++) bytes[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// Gives every chunk of a PNG the checksum of its data.
void mend_checksums(uint8_t* data, size_t size) {
  for (size_t at = 8; size >= 12 && at <= size - 12;) {
    const size_t length = big_endian(data + at);
    if (length > size - 12 - at) return;
    set_big_endian(data + at + 8 + length,
                   static_cast<uint32_t>(crc32(0, data + at + 4, static_cast<uInt>(length + 4))));
    at += 12 + length;
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Lets most checksums of a PNG be right, or else nothing would come past the first.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (std::minstd_rand(seed)() % 16 != 0 && size > 8 && data[0] == 0x89) mend_checksums(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  Sink sink;
  try {
    if (read_image(file.path(), &sink)) promise(sink.rows == sink.height && sink.rows > 0, "every row is handed on");
  } catch (const resnetc::program::Error& error) {
    promise_message(error.what(), file.path() + ": ");
    promise(sink.rows <= sink.height, "no more rows than there are");
  }
  return 0;
}
