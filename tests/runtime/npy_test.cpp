#include "runtime/program/npy.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "runtime/program/error.h"
#include "temporary_folder.h"

namespace {

using resnetc::program::Error;
using resnetc::program::NpyReader;
using resnetc::program::NpyWriter;
using resnetc::test::TemporaryFolder;

const std::vector<std::uint64_t> shape = {3, 2, 2};

std::string npy(int version, const std::string& header, std::size_t value_bytes) {
  std::string bytes = "\x93NUMPY";
  bytes +=
      {static_cast<char>(version), '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  if (version > 1) bytes += {'\0', '\0'};
  return bytes + header + std::string(value_bytes, 'x');
}

std::string header(const std::string& dtype, const std::string& order, const std::string& extents) {
  return "{'descr': " + dtype + ", 'fortran_order': " + order + ", 'shape': " + extents + ", }\n";
}

std::string problem(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.npy", bytes);
  try {
    NpyReader reader(path, shape);
    std::vector<float> values(12);
    while (reader.read(values.data(), 1) > 0) {
    }
  } catch (const Error& error) {
    const std::string message = error.what();
    REQUIRE(message.substr(0, path.size() + 2) == path + ": ");
    return message.substr(path.size() + 2);
  }
  return "";
}

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("npy: versions 1, 2 and 3 and any spelling of the header are read") {
  for (const int version : {1, 2, 3}) {
    CHECK(problem(npy(version, header("'<f4'", "False", "(2, 3, 2, 2)"), 96)) == "");
  }
  CHECK(problem(npy(1, "{\"shape\":(2L,3,2,2),\"fortran_order\":False,\"descr\":\"<f4\"}", 96)) == "");
  CHECK(problem(npy(1, header("'<f4'", "False", "(0, 3, 2, 2)"), 0)) == "");
}

TEST_CASE("npy: what is not taken is refused by what was found and what is taken") {
  CHECK(problem("") == "is empty");
  CHECK(problem("PK\x03\x04 a .npz file, say") == "is not a .npy file");
  CHECK(problem(npy(4, header("'<f4'", "False", "(2, 3, 2, 2)"), 96)) ==
        "is of .npy version 4.0; 1.0, 2.0 and 3.0 are taken");
  CHECK(problem(npy(1, header("'<f8'", "False", "(2, 3, 2, 2)"), 192)) ==
        "has values of type <f8; <f4 is taken, little-endian float32: save it with numpy.save(file, "
        "x.astype(\"<f4\"))");
  CHECK(problem(npy(1, header("[('a', '<f4', (3,))]", "False", "(2, 3, 2, 2)"), 96)).substr(0, 46) ==
        "has values of type [('a', '<f4', (3,))]; <f4 i");
  CHECK(problem(npy(1, header("'<f4'", "True", "(2, 3, 2, 2)"), 96)) ==
        "is in Fortran order; C order is taken: save it with numpy.save(file, numpy.ascontiguousarray(x))");
  CHECK(problem(npy(1, header("'<f4'", "False", "(2, 2, 2, 3)"), 96)) ==
        "has the shape (2, 2, 2, 3); the net takes (N, 3, 2, 2)");
  CHECK(problem(npy(1, header("'<f4'", "False", "(24,)"), 96)) == "has the shape (24,); the net takes (N, 3, 2, 2)");
  CHECK(problem(npy(1, header("'<f4'", "False", "()"), 4)) == "has the shape (); the net takes (N, 3, 2, 2)");
}

TEST_CASE("npy: a file of another length than its shape says is refused") {
  const std::string start = header("'<f4'", "False", "(2, 3, 2, 2)");
  CHECK(problem(npy(1, start, 95)) == "is truncated: 96 bytes of values by its shape, 95 in the file");
  CHECK(problem(npy(1, start, 97)) == "has bytes after its values: 96 bytes of values by its shape, 97 in the file");
  CHECK(problem(npy(1, start, 0).substr(0, 40)) == "is truncated in its header");
  CHECK(problem(npy(1, start, 0).substr(0, 9)) == "is truncated in its header");
  CHECK(problem(npy(1, header("'<f4'", "False", "(18446744073709551615, 3, 2, 2)"), 0)) == "has a damaged .npy header");
  CHECK(problem(npy(1, header("'<f4'", "False", "(1844674407370955160, 3, 2, 2)"), 0)).substr(0, 16) ==
        "is too large: (1");
}

TEST_CASE("npy: damaged headers are refused") {
  const std::string whole = header("'<f4'", "False", "(2, 3, 2, 2)");
  const std::size_t closing = whole.find('}');
  for (std::size_t length = 0; length <= closing; length++) {
    CAPTURE(length);
    CHECK(problem(npy(1, whole.substr(0, length), 96)) == "has a damaged .npy header");
  }
  CHECK(problem(npy(1, whole + "x", 96)) == "has a damaged .npy header");
  CHECK(problem(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2, 2), 'more': 1}", 96)) ==
        "has a damaged .npy header");
  CHECK(problem(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3, 2, 2)}", 96)) ==
        "has a damaged .npy header");
  CHECK(problem(npy(2, std::string(60000, '{') + std::string(40000, ' '), 0)).substr(0, 6) != "");
}

TEST_CASE("npy: what was written is read back, in chunks of any size") {
  const TemporaryFolder folder;
  const std::string path = folder / "y.npy";
  std::vector<float> values(5 * 12);
  for (std::size_t i = 0; i < values.size(); i++) values[i] = static_cast<float>(i) / 3;
  NpyWriter writer(path, shape);
  writer.write(values.data(), 2);
  writer.write(values.data() + 24, 3);
  CHECK(!std::filesystem::exists(path));
  writer.finish();

  const std::string bytes = contents(path);
  CHECK(bytes.substr(0, 10) == std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(182) + '\0');
  CHECK(bytes.substr(10, 67) == "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3, 2, 2), }  ");
  CHECK(bytes.size() == 192 + values.size() * 4);
  CHECK(bytes[191] == '\n');

  NpyReader reader(path, shape);
  CHECK(reader.count() == 5);
  std::vector<float> read(5 * 12);
  CHECK(reader.read(read.data(), 3) == 3);
  CHECK(reader.read(read.data() + 36, 3) == 2);
  CHECK(reader.read(read.data(), 3) == 0);
  CHECK(read == values);
}

TEST_CASE("npy: an unfinished file leaves nothing, nor harms the one that it would replace") {
  const TemporaryFolder folder;
  const std::string path = folder.write("y.npy", "old");
  {
    NpyWriter writer(path, {1});
    const float value = 1;
    writer.write(&value, 1);
  }
  CHECK(contents(path) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("npy: a link stays a link, and what is no file is not replaced") {
  const TemporaryFolder folder;
  folder.write("target.npy", "old");
  std::filesystem::create_symlink("target.npy", folder / "link.npy");
  NpyWriter(folder / "link.npy", {1}).finish();
  CHECK(std::filesystem::is_symlink(folder / "link.npy"));
  CHECK(contents(folder / "target.npy").size() == 192);

  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const std::string pipe = folder / "pipe";
  CHECK_THROWS_WITH_AS(NpyWriter(pipe, {1}), (pipe + ": is not a regular file").c_str(), Error);
  CHECK_THROWS_WITH_AS(NpyWriter("/no/such/y.npy", {1}), "/no/such/y.npy: No such file or directory", Error);
}

TEST_CASE("npy: a full disk is an error and leaves nothing") {
  const TemporaryFolder folder;
  const std::string path = folder / "y.npy";
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {1000, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    NpyWriter writer(path, {1000});
    const std::vector<float> values(1000);
    writer.write(values.data(), 1);
    writer.finish();
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  CHECK(message == path + ": File too large");
  CHECK(std::filesystem::is_empty(folder.path));
}
