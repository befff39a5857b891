#include "compiler/safetensors.h"

#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

std::vector<float> floats(const SafetensorsFile& file, std::string_view name) {
  const SafetensorsTensor* tensor = file.find(name);
  REQUIRE(tensor != nullptr);
  std::vector<float> values(tensor->bytes / (tensor->dtype == "F32" ? 4 : 2));
  file.read(*tensor, 0, values);
  return values;
}

// What opening those bytes says.
std::string problem(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.safetensors", bytes);
  return message_about(path, [&] { SafetensorsFile file(path); });
}

}  // namespace

TEST_CASE("float types are read exactly") {
  const TemporaryFolder folder;
  // Offsets that no type is aligned to: the first tensor has one byte, and the header an odd length.
  const std::string path =
      folder.write("types.safetensors",
                   safetensors_bytes({
                       {"flag", "BOOL", "[1]", "\x01"},
                       {"f32", "F32", "[2,2]", bytes_of<float>({1.5f, -0.0f, 1e-45f, 3.4e38f})},
                       {"f16", "F16", "[11]",
                        bytes_of<uint16_t>(
                            {0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x8001, 0x7c00, 0xfc00, 0x7e00})},
                       {"bf16", "BF16", "[6]", bytes_of<uint16_t>({0x3f80, 0xc040, 0x0001, 0x7f80, 0x8000, 0x7fc0})},
                       {"count", "I64", "[]", bytes_of<int64_t>({7})},
                       {"none", "F32", "[0,3]", ""},
                   }));
  const SafetensorsFile file(path);
  CHECK(file.tensors().size() == 6);
  CHECK(file.find("f33") == nullptr);
  CHECK(file.find("f32")->shape == std::vector<int64_t>{2, 2});
  CHECK(file.find("count")->shape.empty());
  CHECK(file.find("none")->bytes == 0);
  CHECK(floats(file, "none").empty());

  const std::vector<float> f32 = floats(file, "f32");
  CHECK(f32 == std::vector<float>{1.5f, 0.0f, 1e-45f, 3.4e38f});
  CHECK(std::signbit(f32[1]));

  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> f16 = floats(file, "f16");
  CHECK(std::vector(f16.begin(), f16.end() - 1) ==
        std::vector<float>{1, -2, 0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 65504, 0, -0x1p-24f, infinity, -infinity});
  CHECK(std::signbit(f16[6]));
  CHECK(std::isnan(f16[10]));

  const std::vector<float> bf16 = floats(file, "bf16");
  CHECK(std::vector(bf16.begin(), bf16.end() - 1) == std::vector<float>{1, -3, 0x1p-133f, infinity, 0});
  CHECK(std::signbit(bf16[4]));
  CHECK(std::isnan(bf16[5]));

  float part[2];
  file.read(*file.find("f16"), 4, part);
  CHECK(part[0] == 0x1p-14f);
  CHECK(part[1] == 65504);
  for (const char* dtype : {"F32", "F16", "BF16"}) CHECK(converts_to_float(dtype));
  for (const char* dtype : {"F64", "I64", "F8_E4M3", "", "f32"}) CHECK_FALSE(converts_to_float(dtype));
}

TEST_CASE("metadata, padding and every order of tensors are fine") {
  const std::string header = R"({"b":{"shape":[1],"data_offsets":[4,8],"dtype":"F32"},"__metadata__":{"format":"pt"},)"
                             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )";
  const TemporaryFolder folder;
  const SafetensorsFile file(folder.write("x.safetensors", safetensors_bytes(header, bytes_of<float>({1, 2}))));
  CHECK(floats(file, "a") == std::vector<float>{1});
  CHECK(floats(file, "b") == std::vector<float>{2});
  CHECK(file.tensors()[0].name == "a");
  CHECK(problem(safetensors_bytes("{}", "")) == "");
}

TEST_CASE("files that are none are refused") {
  const std::string two_zeros(8, '\0');
  const auto with_length = [](uint64_t length, const std::string& rest) { return bytes_of<uint64_t>({length}) + rest; };
  CHECK(problem("") == "is not a safetensors file: it has 0 bytes, its header alone takes more");
  CHECK(problem("1234567") == "is not a safetensors file: it has 7 bytes, its header alone takes more");
  CHECK(problem(with_length(0, "")) == "is not a safetensors file: its header is not JSON");
  CHECK(problem(with_length(3, "{}")) ==
        "is not a safetensors file, or cut short: its header should have 3 bytes, but the file has 10");
  CHECK(
      problem(with_length(uint64_t{1} << 62, "{}")) ==
      "is not a safetensors file, or cut short: its header should have 4611686018427387904 bytes, but the file has 10");
  CHECK(problem(with_length(UINT64_MAX, "{}")) ==
        "is not a safetensors file, or cut short: its header should have 18446744073709551615 bytes, but the file has "
        "10");
  CHECK(problem(safetensors_bytes("[]", "")) == "is not a safetensors file: its header is not JSON");
  CHECK(problem(safetensors_bytes("{\"a\":", "")) == "is not a safetensors file: its header is not JSON at byte 6");
  CHECK(problem(safetensors_bytes("{} {}", "")) == "is not a safetensors file: its header is not JSON at byte 4");
  CHECK(problem(safetensors_bytes(std::string("{}\0}", 4), "")) == "is not a safetensors file: its header is not JSON");
  CHECK(problem(safetensors_bytes("{\"\xff\":1}", "")) ==
        "is not a safetensors file: its header is not JSON at byte 3");
}

TEST_CASE("a header over 100 MB is refused before it is read") {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.safetensors", bytes_of<uint64_t>({100'000'001}));
  std::filesystem::resize_file(path, 100'000'009);  // sparse
  CHECK(message_about(path, [&] { SafetensorsFile file(path); }) ==
        "has a header of 100000001 bytes; at most 100000000 are allowed");
}

TEST_CASE("what is no file is refused") {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe", missing = folder / "missing";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(message_about(pipe, [&] { SafetensorsFile file(pipe); }) == "is not a regular file");
  CHECK(message_about(folder.path, [&] { SafetensorsFile file(folder.path); }) == "is not a regular file");
  CHECK(message_about(missing, [&] { SafetensorsFile file(missing); }) ==
        "cannot be opened: No such file or directory");
}

TEST_CASE("hostile headers are refused") {
  struct Case {
    std::string header, message;
  };
  const std::string good = R"("y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto tensor = [](const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
    return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::string shape = R"(tensor "x": shape: must be an array of integers from 0 to 2^63 - 1)";
  const std::string offsets = R"(tensor "x": data_offsets: must be two integers from 0 to 2^63 - 1)";
  const Case cases[] = {
      {tensor("[2]", "[0,8]"), ""},
      // Places. The data has 8 bytes.
      {tensor("[3]", "[0,12]"),
       R"(tensor "x": data_offsets [0,12] go beyond the 8 bytes of data; the file is cut short, copy it again)"},
      {tensor("[1]", "[9223372036854775803,9223372036854775807]"),
       R"(tensor "x": data_offsets [9223372036854775803,9223372036854775807] go beyond the 8 bytes of data; the file is )"
       "cut short, copy it again"},
      {tensor("[1]", "[8,4]"), R"(tensor "x": data_offsets [8,4] end before they begin; write the file again)"},
      {tensor("[1]", "[0,8]"),
       R"(tensor "x": data_offsets [0,8] hold 8 bytes, but F32[1] takes 4; write the file again)"},
      {tensor("[2]", "[0,8]", "F16"),
       R"(tensor "x": data_offsets [0,8] hold 8 bytes, but F16[2] takes 4; write the file again)"},
      {tensor("[]", "[0,8]"),
       R"(tensor "x": data_offsets [0,8] hold 8 bytes, but F32[] takes 4; write the file again)"},
      {tensor("[0]", "[0,8]"),
       R"(tensor "x": data_offsets [0,8] hold 8 bytes, but F32[0] takes 0; write the file again)"},
      {tensor("[1]", "[4,8]"), R"(tensor "x": data_offsets [4,8] leave a gap after byte 0; write the file again)"},
      {tensor("[1]", "[0,4]"), "has 4 bytes after its last tensor that belong to none; write the file again"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)" + good + "}",
       R"(tensor "x": data_offsets [0,8] overlap another tensor, which ends at 4; write the file again)"},
      {"{}", "has 8 bytes after its last tensor that belong to none; write the file again"},
      // Sizes that overflow.
      {tensor("[9223372036854775807,2]", "[0,8]"), R"(tensor "x": shape [9223372036854775807,2] overflows)"},
      {tensor("[4294967296,4294967296,0]", "[0,0]"), R"(tensor "x": shape [4294967296,4294967296,0] overflows)"},
      {tensor("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), R"(tensor "x": shape: has more than 16 elements)"},
      // Numbers that are none of ours.
      {tensor("[-2]", "[0,8]"), shape},
      {tensor("[2.0]", "[0,8]"), shape},
      {tensor("[9223372036854775808]", "[0,8]"), shape},
      {tensor("[18446744073709551616]", "[0,8]"), shape},
      {tensor("[[2]]", "[0,8]"), shape},
      {tensor("[null]", "[0,8]"), shape},
      {tensor("2", "[0,8]"), shape},
      {tensor("null", "[0,8]"), shape},
      {tensor("{}", "[0,8]"), shape},
      {tensor("[2]", "[-1,8]"), offsets},
      {tensor("[2]", "[0,8.0]"), offsets},
      {tensor("[2]", "[0]"), offsets},
      {tensor("[2]", "[0,4,8]"), offsets},
      {tensor("[2]", "\"0,8\""), offsets},
      {tensor("[2]", "[true,8]"), offsets},
      // Structure.
      {tensor("[2]", "[0,8]", "F33"), R"(tensor "x": dtype "F33" is unknown; convert it to F32, F16 or BF16)"},
      {R"({"x":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}})", R"(tensor "x": dtype: must be a string)"},
      {R"({"x":{"dtype":1,"shape":[2],"data_offsets":[0,8]}})", R"(tensor "x": dtype: must be a string)"},
      {R"({"x":{"shape":[2],"data_offsets":[0,8]}})", R"(tensor "x": dtype: is missing)"},
      {R"({"x":{"dtype":"F32","data_offsets":[0,8]}})", R"(tensor "x": shape: is missing)"},
      {R"({"x":{"dtype":"F32","shape":[2]}})", R"(tensor "x": data_offsets: is missing)"},
      {R"({"x":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})",
       R"(tensor "x": "shape": is given twice)"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"z":0}})", R"(tensor "x": "z": is an unknown key)"},
      {R"({"x":[]})", R"(tensor "x": must be an object)"},
      {R"({"x":null})", R"(tensor "x": must be an object)"},
      {R"({"__metadata__":{"a":1}})", R"(tensor "__metadata__": must be an object of strings)"},
      {R"({"__metadata__":{"a":{}}})", R"(tensor "__metadata__": must be an object of strings)"},
      {R"({"__metadata__":3})", R"(tensor "__metadata__": must be an object of strings)"},
      {"{" + good + "," + good + "}", R"(tensor "y": the name is given twice)"},
      {R"({"__metadata__":{},"__metadata__":{}})", R"(tensor "__metadata__": the name is given twice)"},
      {R"({"\u001b[31m\u0000":0})", R"(tensor "\u001b[31m\u0000": must be an object)"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.header);
    CHECK(problem(safetensors_bytes(c.header, std::string(8, '\0'))) == c.message);
  }
}

TEST_CASE("any byte of a header may be wrong, or the file end anywhere") {
  const std::string whole = safetensors_bytes(
      {{"a.weight", "F32", "[2,1]", bytes_of<float>({1, 2})}, {"b", "F16", "[3]", bytes_of<uint16_t>({1, 2, 3})}});
  for (size_t length = 0; length < whole.size(); length++) {
    CAPTURE(length);
    CHECK(problem(whole.substr(0, length)) != "");
  }
  const TemporaryFolder folder;
  for (size_t at = 0; at < whole.size() - 14; at++) {
    for (const char byte : {'\0', '"', '}', '9', '\x80'}) {
      std::string bytes = whole;
      bytes[at] = byte;
      const std::string path = folder.write("x.safetensors", bytes);
      try {
        const SafetensorsFile file(path);
        for (const SafetensorsTensor& tensor : file.tensors()) {
          const size_t size = tensor.dtype == "F32" ? 4 : 2;
          std::vector<float> values(tensor.bytes / size);
          if (converts_to_float(tensor.dtype)) file.read(tensor, 0, values);
        }
      } catch (const Error& error) {
        CHECK(std::string(error.what()).starts_with(path + ": "));
      }
    }
  }
}

TEST_CASE("a file that shrinks while it is read is an error") {
  const TemporaryFolder folder;
  for (const char* dtype : {"F32", "BF16"}) {
    const size_t size = dtype[0] == 'F' ? 4 : 2, count = 50'000;
    const std::string path = folder.write(
        "x.safetensors",
        safetensors_bytes({{"x", dtype, "[" + std::to_string(count) + "]", std::string(count * size, 1)}}));
    const SafetensorsFile file(path);
    std::vector<float> values(count);
    file.read(*file.find("x"), 0, values);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    file.read(*file.find("x"), 0, std::span(values).first(count / 3));
    CHECK(message_about(path, [&] { file.read(*file.find("x"), 0, values); }) ==
          "became shorter while it was read; try again once it is complete");
  }
}
