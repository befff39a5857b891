// What tests/tools/preprocess_reference.py wrote: RESNETC_PREPROCESS_CASES names its folder.
#ifndef RESNETC_TESTS_RUNTIME_REFERENCE_CASES_H
#define RESNETC_TESTS_RUNTIME_REFERENCE_CASES_H

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace resnetc::test {

// "" and a message where the variable is not set: the caller then has nothing to check.
inline std::string reference_folder() {
  const char* folder = std::getenv("RESNETC_PREPROCESS_CASES");
  if (folder != nullptr && *folder != '\0') return std::string(folder) + "/";
  MESSAGE("not compared with Pillow: RESNETC_PREPROCESS_CASES names no folder made by preprocess_reference.py");
  return "";
}

inline std::vector<std::uint8_t> read_bytes(std::ifstream& file, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(count));
  REQUIRE(static_cast<std::size_t>(file.gcount()) == count);
  return bytes;
}

}  // namespace resnetc::test

#endif
