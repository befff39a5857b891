#include "runtime/program/output_file.h"

#include <doctest/doctest.h>

#include <iterator>

#include "runtime/program/error.h"
#include "temporary_folder.h"

namespace {

using resnetc::program::Error;
using resnetc::program::OutputFile;
using resnetc::test::TemporaryFolder;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t file_count(const TemporaryFolder& folder) {
  const std::filesystem::directory_iterator files(folder.path);
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace

TEST_CASE("output_file: a file appears when it is finished, and not before") {
  const TemporaryFolder folder;
  const std::string path = folder.write("out", "old");
  {
    OutputFile file(path);
    file.write("new text", 8);
    CHECK(contents(path) == "old");
    file.go_to_start();
    file.write("N", 1);
    file.finish();
    CHECK(contents(path) == "New text");
  }
  CHECK(file_count(folder) == 1);
}

TEST_CASE("output_file: without finish nothing is left") {
  const TemporaryFolder folder;
  { OutputFile(folder / "out").write("text", 4); }
  CHECK(file_count(folder) == 0);
}

TEST_CASE("output_file: a link stays, and what it points to is replaced") {
  const TemporaryFolder folder;
  const std::string path = folder.write("real", "old");
  std::filesystem::create_symlink("real", folder / "link");
  OutputFile file(folder / "link");
  file.write("new", 3);
  file.finish();
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(contents(path) == "new");
}

TEST_CASE("output_file: what cannot be written is named") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(OutputFile{folder.path}, (folder.path + ": is not a regular file").c_str(), Error);
  const std::string path = folder / "none/out";
  CHECK_THROWS_WITH_AS(OutputFile{path}, (path + ": No such file or directory").c_str(), Error);
}
