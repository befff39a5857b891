#include "runtime/program/kernel_label.h"

#include <doctest/doctest.h>

TEST_CASE("kernel_label: what a kernel computes, in short") {
  const char* const cases[][3] = {
      {"conv2d_i56x56x64b1_w64x3x3x64_w64_i56x56x64_to_i56x56x64b1_padding1_add_relu_f32", "conv 3x3",
       "conv 3x3 64-64 56x56 add relu"},
      {"conv2d_i14x14x1024_w2048x1x1x1024_w2048_to_i7x7x2048_stride2_f32", "conv 1x1",
       "conv 1x1 1024-2048 7x7 stride2"},
      {"conv2d_i56x56x128b1_w128x3x3x4_w128_to_i56x56x128_padding1_groups32_relu_f32", "conv 3x3 grouped",
       "conv 3x3 grouped 128-128 56x56 groups32 relu"},
      {"conv2d_i56x56x128b1_w128x3x3x4_w128_to_i56x56x128_padding1_groups32_interleave16_relu_f32", "conv 3x3 grouped",
       "conv 3x3 grouped 128-128 56x56 groups32 interleave16 relu"},
      {"conv2d_i224x224x3b3x3x2x2_w64x7x7x3_w64_to_i56x56x64b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_"
       "f32",
       "conv 7x7", "conv 7x7 3-64 56x56 stride2 relu max pool kernel3 stride2"},
      {"conv2d_i28x28x128_w512x1x1x384_w512_i56x56x256_to_i28x28x512_project_stride2_relu_f32", "conv 1x1",
       "conv 1x1 128-512 28x28 project stride2 relu"},
      {"max_pool_i112x112x64_to_i56x56x64_kernel3_stride2_padding1_f32", "max_pool",
       "max_pool 64 56x56 kernel3 stride2"},
      {"global_average_pool_i7x7x512_to_v512_f32", "global_average_pool", "global_average_pool 512"},
      {"dense_i7x7x512_w1000x512_w1000_to_v1000_global_average1_f32", "dense", "dense 512-1000 global average1"},
      {"dense_v512_w10x512_to_v10_f32", "dense", "dense 10"},
      {"scale_shift_i8x8x64_w64_w64_to_i8x8x64_relu1_f32", "scale_shift", "scale_shift 64-64 8x8 relu1"},
      {"input_to_i224x224x3b3_f32", "input", "input 3 224x224"},
      {"output_i7x7x512_to_i7x7x512_f32", "output", "output 512 7x7"},
  };
  for (const auto& [key, kind, label] : cases) {
    CHECK(resnetc::program::kernel_kind(key) == kind);
    CHECK(resnetc::program::kernel_label(key) == label);
  }
}

TEST_CASE("kernel_label: what is no key does no harm") {
  for (const char* key :
       {"", "_", "i", "i_to_i", "conv2d", "conv2d_w3", "to", "_to_", "i1_w1_to_i1", "x_to_v", "conv2d_wxxx"}) {
    CAPTURE(key);
    CHECK_NOTHROW(resnetc::program::kernel_label(key));
  }
  CHECK(resnetc::program::kernel_kind("winograd_tiles") == "winograd_tiles");
}
