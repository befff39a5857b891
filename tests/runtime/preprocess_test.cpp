#include "runtime/preprocess.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "reference_cases.h"

namespace {

rn_preprocess plain() {
  rn_preprocess how{};
  how.resize = rn_resize_none;
  how.interpolation = rn_interpolate_bilinear;
  how.order = rn_order_rgb;
  how.scale = 1;
  for (int c = 0; c < 3; c++) how.std[c] = 1;
  return how;
}

// Pixel (x, y) of channel c is 100 c + 10 y + x, rows 3 bytes further apart than they need be.
std::vector<std::uint8_t> numbered(int width, int height) {
  std::vector<std::uint8_t> rgb;
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      for (int c = 0; c < 3; c++) rgb.push_back(static_cast<std::uint8_t>(100 * c + 10 * y + x));
    }
    rgb.insert(rgb.end(), 3, 255);
  }
  return rgb;
}

std::vector<float> run(const rn_preprocess& how, const std::vector<std::uint8_t>& rgb, int width, int height, int out_h,
                       int out_w) {
  std::vector<float> input(static_cast<std::size_t>((how.order == rn_order_gray ? 1 : 3) * out_h * out_w), -1.0f);
  const std::size_t row_bytes = rgb.size() / static_cast<std::size_t>(height);
  REQUIRE(rn_preprocess_image(&how, rgb.data(), width, height, row_bytes, out_h, out_w, input.data(), nullptr,
                              nullptr) == rn_preprocess_ok);
  return input;
}

// The picture of preprocess_reference.py.
std::vector<std::uint8_t> picture(std::uint64_t seed, std::size_t bytes) {
  std::vector<std::uint8_t> rgb(bytes);
  for (std::size_t i = 0; i < bytes; i++) {
    std::uint64_t x = (i + seed * 0x9E3779B9u) & 0xFFFFFFFFu;
    for (int round = 0; round < 2; round++) x = ((x ^ (x >> 16)) * 0x45D9F3Bu) & 0xFFFFFFFFu;
    x >>= 24;
    rgb[i] = static_cast<std::uint8_t>(seed % 2 == 0 ? (x < 128 ? 0 : 255) : x);
  }
  return rgb;
}

}  // namespace

TEST_CASE("preprocess: an image of the input's size is only normalised") {
  rn_preprocess how = plain();
  how.scale = 1.0 / 255;
  const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
  std::copy(mean, mean + 3, how.mean);
  std::copy(std, std + 3, how.std);
  const std::vector<float> input = run(how, numbered(4, 3), 4, 3, 3, 4);
  for (int c = 0; c < 3; c++) {
    for (int i = 0; i < 12; i++) {
      const int u8 = 100 * c + 10 * (i / 4) + i % 4;
      CHECK(input[static_cast<std::size_t>(c * 12 + i)] == static_cast<float>((u8 * how.scale - mean[c]) / std[c]));
    }
  }
}

TEST_CASE("preprocess: bgr reverses the channels, mean and std stay in the net's order") {
  rn_preprocess how = plain();
  how.order = rn_order_bgr;
  for (int c = 0; c < 3; c++) how.mean[c] = c + 1;
  const std::vector<float> input = run(how, numbered(1, 1), 1, 1, 1, 1);
  CHECK(input == std::vector<float>{200 - 1, 100 - 2, 0 - 3});
}

TEST_CASE("preprocess: gray is ITU-R 601 luma") {
  rn_preprocess how = plain();
  how.order = rn_order_gray;
  CHECK(run(how, {255, 255, 255}, 1, 1, 1, 1) == std::vector<float>{255});
  CHECK(run(how, {255, 0, 0}, 1, 1, 1, 1) == std::vector<float>{76});
  CHECK(run(how, {0, 255, 0}, 1, 1, 1, 1) == std::vector<float>{150});
  CHECK(run(how, {0, 0, 255}, 1, 1, 1, 1) == std::vector<float>{29});
}

TEST_CASE("preprocess: the crop's offset is rounded half to even") {
  rn_preprocess how = plain();
  how.crop_height = how.crop_width = 2;
  // 3 - 2: 0.5 -> 0; 5 - 2: 1.5 -> 2; 7 - 2: 2.5 -> 2; 9 - 2: 3.5 -> 4.
  const std::map<int, float> first = {{2, 0}, {3, 0}, {4, 1}, {5, 2}, {6, 2}, {7, 2}, {8, 3}, {9, 4}};
  for (const auto& [width, x] : first) {
    CAPTURE(width);
    const std::vector<float> input = run(how, numbered(width, 2), width, 2, 2, 2);
    CHECK(input[0] == x);
    CHECK(input[3] == 10 + x + 1);
  }
}

TEST_CASE("preprocess: a crop beyond the image is padded with zeros before the normalisation") {
  rn_preprocess how = plain();
  how.crop_height = 4;
  how.crop_width = 3;
  how.mean[0] = 7;
  const std::vector<float> input = run(how, numbered(2, 1), 2, 1, 4, 3);
  // 3 rows are missing, 1 above and 2 below; 1 column is missing, on the right.
  const std::vector<float> red(input.begin(), input.begin() + 12);
  CHECK(red == std::vector<float>{-7, -7, -7, -7, -6, -7, -7, -7, -7, -7, -7, -7});
}

TEST_CASE("preprocess: bilinear halves by the triangle filter") {
  rn_preprocess how = plain();
  how.resize = rn_resize_exact;
  how.resize_height = 1;
  how.resize_width = 2;
  const std::vector<std::uint8_t> rgb = {0, 0, 0, 80, 0, 0, 160, 0, 0, 240, 0, 0};
  const std::vector<float> input = run(how, rgb, 4, 1, 1, 2);
  // Weights 3/7, 3/7, 1/7 over the three pixels within two of the centre: 400 / 7 = 57.1 and 1280 / 7 = 182.9.
  CHECK(input[0] == 57);
  CHECK(input[1] == 183);
}

TEST_CASE("preprocess: a result of another size is refused and reported") {
  rn_preprocess how = plain();
  std::vector<float> input(12, 5.0f);
  const std::vector<std::uint8_t> rgb(18, 0);
  int height = 0, width = 0;
  CHECK(rn_preprocess_image(&how, rgb.data(), 3, 2, 9, 2, 2, input.data(), &height, &width) == rn_preprocess_size);
  CHECK(height == 2);
  CHECK(width == 3);

  how.resize = rn_resize_shorter_side;
  how.resize_height = how.resize_width = 7;
  CHECK(rn_preprocess_image(&how, rgb.data(), 3, 2, 9, 2, 2, input.data(), &height, &width) == rn_preprocess_size);
  CHECK(height == 7);
  CHECK(width == 10);  // 10.5, truncated

  how.resize_height = how.resize_width = 1 << 30;
  CHECK(rn_preprocess_image(&how, rgb.data(), 6, 1, 18, 2, 2, input.data(), &height, &width) == rn_preprocess_size);
  CHECK(std::all_of(input.begin(), input.end(), [](float value) { return value == 5.0f; }));
}

TEST_CASE("preprocess: an image without pixels or with rows that overlap is refused") {
  rn_preprocess how = plain();
  float input[3] = {};
  const std::uint8_t rgb[3] = {};
  CHECK(rn_preprocess_image(&how, rgb, 0, 1, 3, 1, 1, input, nullptr, nullptr) == rn_preprocess_size);
  CHECK(rn_preprocess_image(&how, rgb, 1, -1, 3, 1, 1, input, nullptr, nullptr) == rn_preprocess_size);
  CHECK(rn_preprocess_image(&how, rgb, 1, 1, 2, 1, 1, input, nullptr, nullptr) == rn_preprocess_size);
  CHECK(rn_preprocess_image(&how, nullptr, 1, 1, 3, 1, 1, input, nullptr, nullptr) == rn_preprocess_size);
}

TEST_CASE("preprocess: extreme shapes neither overflow nor take much memory") {
  rn_preprocess how = plain();
  how.resize = rn_resize_shorter_side;
  how.resize_height = how.resize_width = 256;
  how.crop_height = how.crop_width = 8;
  const int length = 1 << 20;
  const std::vector<std::uint8_t> rgb(static_cast<std::size_t>(length) * 3, 200);
  for (const int interpolation : {rn_interpolate_nearest, rn_interpolate_bilinear, rn_interpolate_bicubic}) {
    how.interpolation = interpolation;
    for (const bool tall : {false, true}) {
      std::vector<float> input(3 * 64);
      const int width = tall ? 1 : length, height = tall ? length : 1;
      REQUIRE(rn_preprocess_image(&how, rgb.data(), width, height, static_cast<std::size_t>(width) * 3, 8, 8,
                                  input.data(), nullptr, nullptr) == rn_preprocess_ok);
      CHECK(std::all_of(input.begin(), input.end(), [](float value) { return value == 200.0f; }));
    }
  }
}

TEST_CASE("preprocess: equal to Pillow bit for bit") {
  const std::string folder = resnetc::test::reference_folder();
  if (folder.empty()) return;
  std::ifstream cases(folder + "preprocess.txt");
  std::ifstream expected_file(folder + "preprocess.bin", std::ios::binary);
  REQUIRE(cases);
  const std::map<std::string, int> resizes = {
      {"none", rn_resize_none}, {"shorter", rn_resize_shorter_side}, {"exact", rn_resize_exact}};
  const std::map<std::string, int> filters = {
      {"nearest", rn_interpolate_nearest}, {"bilinear", rn_interpolate_bilinear}, {"bicubic", rn_interpolate_bicubic}};
  const std::map<std::string, int> orders = {{"rgb", rn_order_rgb}, {"bgr", rn_order_bgr}, {"gray", rn_order_gray}};
  int count = 0;
  for (std::string line; std::getline(cases, line); count++) {
    INFO(line);
    std::istringstream words(line);
    std::uint64_t seed = 0;
    int width = 0, height = 0, channels = 0, out_height = 0, out_width = 0;
    std::string resize, filter, order;
    rn_preprocess how = plain();
    words >> seed >> width >> height >> resize >> how.resize_height >> how.resize_width >> how.crop_height;
    words >> how.crop_width >> filter >> order >> channels >> out_height >> out_width;
    REQUIRE(words);
    how.resize = resizes.at(resize);
    how.interpolation = filters.at(filter);
    how.order = orders.at(order);
    const auto rgb = picture(seed, static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
    const std::vector<float> input = run(how, rgb, width, height, out_height, out_width);
    const std::vector<std::uint8_t> expected = resnetc::test::read_bytes(expected_file, input.size());
    const auto differ = std::mismatch(input.begin(), input.end(), expected.begin());
    const auto at = differ.first - input.begin();
    CAPTURE(at);
    CHECK(differ.first == input.end());
  }
  CHECK(count >= 400);
}
