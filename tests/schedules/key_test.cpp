#include "schedules/key.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("key: its text gives the key back, each kind of step and attribute included") {
  for (const std::string text :
       {"conv2d_i9x11x24b1_w13x3x3x24_w13_i9x11x13b1_to_i9x11x13b1_padding1_add_relu_f32",
        "conv2d_i13x8x3b2x1x1x0_w8x5x3x3_w8_to_i6x7x8b0x0x1x1_stride2x1_padding2x1x1x0_relu_maximum6_f32",
        "conv2d_i8x8x16b1_w32x3x3x16bf16_w32_i16x16x16b1_to_i8x8x32b1_padding1_add_subsample2_channels_before8_relu_"
        "f32",
        "conv2d_i14x14x256_w1024x1x1x768_w1024_i28x28x512_to_i14x14x1024_project_stride2_relu_f32",
        "conv2d_i10x9x3b1_w8x3x3x3_w8_to_i3x3x8_stride2_dilation2_padding1_relu_max_pool_kernel3_stride2_f32",
        "dense_i4x2x24_w10x24_w10_to_v10_global_average1_f32", "average_pool_i7x6x5b1_to_i3x3x5_kernel2_stride2_f32",
        "global_average_pool_i2x4x16b1_to_v16_f32", "input_to_i7x6x16b3_f32", "output_i7x6x16b1_to_i7x6x16_f32"}) {
    CAPTURE(text);
    CHECK(to_string(parse_key(text)) == text);
  }
}

TEST_CASE("key: what cannot be read is said") {
  CHECK_THROWS_WITH_AS(parse_key("conv2d_i7x7x16_w8x1x1x16_to_i7x7x8_tanh_f32"),
                       "'conv2d_i7x7x16_w8x1x1x16_to_i7x7x8_tanh_f32' is not a kernel key: cannot read '_tanh_f32'",
                       Error);
  for (const std::string text :
       {"", "conv2d", "softmax_v5_to_v5_f32", "relu_i7x6x16_to_i7x6x16", "relu_i7x6x16_to_i7x6x16_f32_f32",
        "relu_i7x6_to_i7x6x16_f32", "relu_v5x5_to_v5_f32", "relu_x5_to_v5_f32", "relu_i7x6x16b1x1_to_i7x6x16_f32",
        "relu_i7x-6x16_to_i7x6x16_f32", "relu_i7x6x99999999999_to_i7x6x16_f32", "relu_v5_to_v5_maximum_f32",
        "max_pool_i7x6x16_to_i4x3x16_kernel3x3x3_f32", "relu_v5_to_v5_relu_f32"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_key(text), Error);
  }
}
