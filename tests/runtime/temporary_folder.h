// A folder of a test's own, removed with all that is in it.
#ifndef RESNETC_TESTS_RUNTIME_TEMPORARY_FOLDER_H
#define RESNETC_TESTS_RUNTIME_TEMPORARY_FOLDER_H

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace resnetc::test {

struct TemporaryFolder {
  std::string path;

  TemporaryFolder() : path((std::filesystem::temp_directory_path() / "resnetc-XXXXXX").string()) {
    REQUIRE(mkdtemp(path.data()) != nullptr);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path + "/" + name; }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return *this / name;
  }
};

}  // namespace resnetc::test

#endif
