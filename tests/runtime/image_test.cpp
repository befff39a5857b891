#include "runtime/program/image.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>

#include "reference_cases.h"
#include "runtime/program/error.h"
#include "temporary_folder.h"

namespace {

using resnetc::program::read_image;
using resnetc::program::RowSink;
using resnetc::test::TemporaryFolder;

struct Image : RowSink {
  bool is_wanted = true;
  int width = 0, height = 0;
  std::string rgb;

  bool start(int picture_width, int picture_height) override {
    width = picture_width;
    height = picture_height;
    return is_wanted;
  }
  void row(const std::uint8_t* row) override {
    rgb.append(reinterpret_cast<const char*>(row), static_cast<std::size_t>(width) * 3);
  }
};

// The message without the path that it starts with; "" if the image was read.
std::string problem(const std::string& path) {
  try {
    Image image;
    read_image(path, &image);
    CHECK(image.rgb.size() == static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
  } catch (const resnetc::program::Error& error) {
    const std::string message = error.what();
    REQUIRE(message.substr(0, path.size() + 2) == path + ": ");
    return message.substr(path.size() + 2);
  }
  return "";
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

// A PNG that ends where its pixels start; the checksum is that of the data.
std::string png_header(std::uint32_t width, std::uint32_t height) {
  const std::string data = "IHDR" + big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5);
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char byte : data) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return "\x89PNG\r\n\x1a\n" + big_endian(13) + data + big_endian(~crc) + big_endian(99) + "IDAT";
}

}  // namespace

TEST_CASE("image: files that are no images are refused, each with its reason") {
  const TemporaryFolder folder;
  CHECK(problem(folder / "missing.jpg") == "No such file or directory");
  CHECK(problem(folder.path) == "is a directory");
  CHECK(problem(folder.write("empty.png", "")) == "is empty");
  CHECK(problem(folder.write("short.png", "\x89PN")) == "is neither a JPEG nor a PNG file");
  CHECK(problem(folder.write("text.jpg", "This is a text, whatever its name.")) == "is neither a JPEG nor a PNG file");
  CHECK(problem(folder.write("start.jpg", "\xff\xd8\xff")) == "is truncated");
  CHECK(problem(folder.write("start.png", "\x89PNG\r\n\x1a\n")) == "is truncated");
  CHECK(problem(folder.write("header.png", png_header(3, 2))) == "is truncated");
}

TEST_CASE("image: pixels beyond the limit are refused before they are allocated") {
  const TemporaryFolder folder;
  CHECK(problem(folder.write("large.png", png_header(16385, 16384))) ==
        "has 16385 x 16384 pixels; from 1 to 268435456 are taken");
  CHECK(problem(folder.write("huge.png", png_header(0x7fffffff, 0x7fffffff))) ==
        "has 2147483647 x 2147483647 pixels; from 1 to 268435456 are taken");
  CHECK(problem(folder.write("long.png", png_header(1, 1048577))) ==
        "has 1 x 1048577 pixels; up to 1048576 a side are taken");
  CHECK(problem(folder.write("wide.png", png_header(1048577, 1))) ==
        "has 1048577 x 1 pixels; up to 1048576 a side are taken");
  CHECK(problem(folder.write("none.png", png_header(0, 5))) == "is a damaged PNG: Invalid IHDR data");
  const std::string frame("\xff\xd8\xff\xc0\0\x11\x08\xff\0\xff\0\x03\x01\x11\0\x02\x11\0\x03\x11\0", 21);
  const std::string scan("\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\x3f\0", 14);
  CHECK(problem(folder.write("large.jpg", frame + scan)) == "has 65280 x 65280 pixels; from 1 to 268435456 are taken");
  // Progressive, 15,000 x 15,000 without subsampling: 2 bytes for each of 3 x 225,000,000 samples.
  const std::string progressive("\xff\xd8\xff\xc2\0\x11\x08\x3a\x98\x3a\x98\x03\x01\x11\0\x02\x11\0\x03\x11\0", 21);
  const std::string first_scan("\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\0\0", 14);
  CHECK(problem(folder.write("progressive.jpg", progressive + first_scan)) ==
        "has 15000 x 15000 pixels in several scans, which take more than 768 MB to decode; save it as a baseline JPEG");
}

TEST_CASE("image: one that is not wanted is not read") {
  const TemporaryFolder folder;
  Image image;
  image.is_wanted = false;
  CHECK_FALSE(read_image(folder.write("x.png", png_header(3, 2)), &image));
  CHECK(image.width == 3);
  CHECK(image.height == 2);
}

TEST_CASE("image: a file that may not be read says so") {
  const TemporaryFolder folder;
  const std::string path = folder.write("secret.png", png_header(1, 1));
  REQUIRE(chmod(path.c_str(), 0) == 0);
  if (geteuid() != 0) CHECK(problem(path) == "Permission denied");
}

TEST_CASE("image: pixels equal Pillow's") {
  const std::string folder = resnetc::test::reference_folder();
  if (folder.empty()) return;
  std::ifstream names(folder + "images.txt");
  std::ifstream expected_file(folder + "images.bin", std::ios::binary);
  REQUIRE(names);
  int count = 0;
  std::string name;
  for (int width = 0, height = 0; names >> name >> width >> height; count++) {
    INFO(name);
    Image image;
    REQUIRE(read_image(folder + "images/" + name, &image));
    REQUIRE(image.width == width);
    REQUIRE(image.height == height);
    const std::size_t size = image.rgb.size();
    REQUIRE(size == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    const auto expected = resnetc::test::read_bytes(expected_file, size);
    std::size_t different = 0;
    int largest = 0;
    for (std::size_t i = 0; i < size; i++) {
      const int difference = std::abs(static_cast<unsigned char>(image.rgb[i]) - expected[i]);
      different += difference != 0;
      largest = std::max(largest, difference);
    }
    CAPTURE(largest);
    CHECK(different == 0);
  }
  CHECK(count >= 300);
}

TEST_CASE("image: damaged files are read or refused, never worse") {
  const std::string folder = resnetc::test::reference_folder();
  if (folder.empty()) return;
  const TemporaryFolder scratch;
  const unsigned seed = 11;
  std::mt19937 random(seed);
  CAPTURE(seed);
  for (const char* name : {"rgb_33x47_q95_420.jpg", "rgb_33x47_q75_444_progressive.jpg", "cmyk_33x47.jpg",
                           "gray_33x47.jpeg", "palette4_9x13.png", "rgb16_9x13_interlaced.png", "gray_alpha8_9x13.png",
                           "gray16_9x13_interlaced.png", "restarts.jpg"}) {
    INFO(std::string(name));
    REQUIRE(std::filesystem::exists(folder + "images/" + name));
    const std::string whole = bytes_of(folder + "images/" + name);
    for (std::size_t length = 8; length < whole.size(); length += 1 + whole.size() / 40) {
      const std::string message = problem(scratch.write("cut", whole.substr(0, length)));
      // JPEG's last rows may be there before the file ends.
      if (length < whole.size() / 2) CHECK(message == "is truncated");
    }
    for (int round = 0; round < 60; round++) {
      std::string damaged = whole;
      for (int flip = 0; flip < 1 + round % 5; flip++)
        damaged[random() % damaged.size()] ^= static_cast<char>(random());
      problem(scratch.write("flipped", damaged));
    }
  }
}
