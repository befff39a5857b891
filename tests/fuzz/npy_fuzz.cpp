// A .npy file as the input of an emitted program.
#include "runtime/program/error.h"
#include "runtime/program/npy.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"

using namespace resnetc::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    resnetc::program::NpyReader reader(file.path(), {3, 2, 2});
    std::vector<float> values(24);
    uint64_t count = 0;
    while (const uint64_t got = reader.read(values.data(), 2)) count += got;
    promise(count == reader.count() && count * 12 * sizeof(float) < size, "as many images as the header says");
  } catch (const resnetc::program::Error& error) {
    promise(std::string_view(error.what()).starts_with(file.path() + ": "), error.what());
  }
  return 0;
}
