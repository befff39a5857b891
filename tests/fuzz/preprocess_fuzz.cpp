// From an image of any size to an input of any size.
#include <fuzzer/FuzzedDataProvider.h>

#include <cmath>
#include <vector>

#include "runtime/preprocess.h"
#include "tests/fuzz/check.h"

using namespace resnetc::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider bytes(data, size);
  const auto side = [&](int most) { return bytes.ConsumeIntegralInRange<int>(1, most); };
  const auto sized = [&](int most) { return bytes.ConsumeBool() ? side(most) : side(40); };
  rn_preprocess how = {};
  how.resize = bytes.ConsumeIntegralInRange<int>(rn_resize_none, rn_resize_exact);
  how.resize_height = sized(1 << 20);
  how.resize_width = how.resize == rn_resize_exact ? sized(1 << 20) : how.resize_height;
  const bool has_crop = bytes.ConsumeBool();
  how.crop_height = has_crop ? side(64) : 0;
  how.crop_width = has_crop ? side(64) : 0;
  how.interpolation = bytes.ConsumeIntegralInRange<int>(rn_interpolate_nearest, rn_interpolate_bicubic);
  how.order = bytes.ConsumeIntegralInRange<int>(rn_order_rgb, rn_order_gray);
  how.scale = 1.0 / 255;
  for (double& std : how.std) std = 0.5;
  const int width = sized(1 << 17), height = sized((1 << 19) / width + 1);
  const size_t row_bytes = static_cast<size_t>(width) * 3 + bytes.ConsumeIntegralInRange<size_t>(0, 4);
  const int input_height = has_crop ? how.crop_height : side(64), input_width = has_crop ? how.crop_width : side(64);

  // No byte more than the contract asks for, so that a read or write beyond is seen.
  std::vector<uint8_t> rgb(row_bytes * static_cast<size_t>(height - 1) + static_cast<size_t>(width) * 3);
  const std::vector<uint8_t> pixels = bytes.ConsumeRemainingBytes<uint8_t>();
  for (size_t i = 0; i < rgb.size(); i++) rgb[i] = pixels.empty() ? static_cast<uint8_t>(i) : pixels[i % pixels.size()];
  const size_t plane = static_cast<size_t>(input_height) * static_cast<size_t>(input_width);
  std::vector<float> input(plane * (how.order == rn_order_gray ? 1 : 3), NAN);

  int result_height = 0, result_width = 0;
  const int status = rn_preprocess_image(&how, rgb.data(), width, height, row_bytes, input_height, input_width,
                                         input.data(), &result_height, &result_width);
  const bool fits = result_height == input_height && result_width == input_width;
  promise(status == rn_preprocess_ok ? fits : status == rn_preprocess_size, "it fits or is refused");
  if (status == rn_preprocess_ok)
    for (float value : input) promise(value >= 0 && value <= 2, "every value of the input is set");
  return 0;
}
