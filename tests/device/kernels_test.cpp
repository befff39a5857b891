// Every candidate of the strategies for devices equals the reference evaluator on an OpenCL device, exactly, on
// integers. A program of its own: PoCL brings an LLVM into the process, and what it does there is no other test's
// concern.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>

#include "tests/support/kernel_runner.h"

using namespace resnetc;

namespace {

// The words that CTest takes for a skipped test.
bool has_device() {
  using GetPlatforms = int (*)(unsigned, void*, unsigned*);
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW);
  auto* get_platforms = library ? reinterpret_cast<GetPlatforms>(dlsym(library, "clGetPlatformIDs")) : nullptr;
  unsigned count = 0;
  if (get_platforms && get_platforms(0, nullptr, &count) == 0 && count > 0) return true;
  fmt::print("skipped: no OpenCL device; scripts/setup --tests brings PoCL\n");
  return false;
}

// Evenly chosen among the candidates, the first, which is the default, always.
std::vector<Choice> some_of(const std::vector<Choice>& all, size_t most) {
  if (std::getenv("RESNETC_LONG_TESTS") || all.size() <= most) return all;
  std::vector<Choice> result;
  for (size_t i = 0; i < most; i++) result.push_back(all[i * all.size() / most]);
  return result;
}

void check_choice(const KernelKey& key, const Choice& choice, const Machine& machine, int batch) {
  const std::string label = fmt::format("{} {}", to_string(key), to_string(choice));
  INFO(label);
  const std::vector<Tensor> operands = integer_operands(key, batch, 7);
  try {
    const Tensor got = run_kernel(key, choice, machine, operands);
    CHECK(equals_reference(key, choice, operands, got));
  } catch (const Halide::Error& error) {
    FAIL_CHECK(std::string(error.what()));
  }
}

void check_key(const std::string& text, const char* strategy, size_t most = 1, int largest_winograd = 4) {
  Machine machine = machine_for("host-opencl", 2);
  machine.largest_winograd = largest_winograd;
  const KernelKey key = parse_key(text);
  REQUIRE(to_string(key) == text);
  REQUIRE(strategy_named(strategy).applies(key, machine));
  const std::vector<Choice> all = strategy_named(strategy).candidates(key, machine);
  REQUIRE(!all.empty());
  for (const Choice& choice : some_of(all, most)) {
    const bool is_default = choice == all.front();
    CHECK(parse_choice(to_string(choice)) == choice);
    for (int batch : {3, 1}) {
      if (batch == 1 && !is_default) continue;  // that would be compiled anew
      check_choice(key, choice, machine, batch);
    }
  }
}

// Of the first two keys two candidates.
void check_keys(const char* strategy, const std::vector<const char*>& keys) {
  for (size_t i = 0; i < keys.size(); i++) check_key(keys[i], strategy, i < 2 ? 2 : 1);
}

}  // namespace

TEST_CASE("convolution as a matrix product equals the reference") {
  if (!has_device()) return;
  check_keys(
      "gpu_conv2d_gemm",
      {
          "conv2d_i7x7x16b1_w32x3x3x16_w32_to_i7x7x32b1_padding1_relu_f32",
          "conv2d_i9x11x24b1_w13x3x3x24_w13_i9x11x13b1_to_i9x11x13b1_padding1_add_relu_f32",
          "conv2d_i10x7x5_w17x1x1x5_w17_to_i10x7x17_relu_f32",
          "conv2d_i10x7x8b1_w16x1x1x8_w16_to_i5x4x16_stride2_f32",
          "conv2d_i13x8x3b2x1x1x0_w8x5x3x3_w8_to_i6x7x8b0x0x1x1_stride2x1_padding2x1x1x0_relu_f32",
          "conv2d_i12x12x4b3_w8x3x3x4_w8_i12x12x8_to_i12x12x8_dilation2_padding2_relu_add_f32",
          "conv2d_i1x1x1_w1x1x1x1_to_i1x1x1_f32",
          "conv2d_i8x8x16b1_w32x3x3x16_w32_i16x16x16b1_to_i8x8x32b1_padding1_add_subsample2_channels_before8_relu_f32",
          "conv2d_i5x4x6b1_w11x3x3x6_w11_i9x8x5_to_i5x4x11_padding1_add_subsample2_channels_before3_relu_maximum6_f32",
          "conv2d_i14x14x64_w96x1x1x64_w96_i14x14x96b1_to_i14x14x96b1_add_relu_f32",
      });
}

TEST_CASE("convolution with a staged window equals the reference") {
  if (!has_device()) return;
  check_keys("gpu_conv2d_direct",
             {
                 "conv2d_i7x7x16b1_w32x3x3x16_w32_to_i7x7x32b1_padding1_relu_f32",
                 "conv2d_i9x11x24b1_w13x3x3x24_w13_i9x11x13b1_to_i9x11x13b1_padding1_add_relu_f32",
                 "conv2d_i13x8x3b2x1x1x0_w8x5x3x3_w8_to_i6x7x8b0x0x1x1_stride2x1_padding2x1x1x0_relu_f32",
                 "conv2d_i12x12x4b3_w8x3x3x4_w8_i12x12x8_to_i12x12x8_dilation2_padding2_relu_add_f32",
                 "conv2d_i15x15x12b1_w40x3x3x12_w40_to_i8x8x40b1_stride2_padding1_relu_f32",
             });
}

TEST_CASE("Winograd on a device equals the reference") {
  if (!has_device()) return;
  const char* keys[] = {
      "conv2d_i7x7x16b1_w32x3x3x16_w32_to_i7x7x32b1_padding1_relu_f32",
      "conv2d_i9x11x24b1_w13x3x3x24_w13_i9x11x13b1_to_i9x11x13b1_padding1_add_relu_f32",
      "conv2d_i8x8x16b1_w32x3x3x16_w32_i16x16x16b1_to_i8x8x32b1_padding1_add_subsample2_channels_before8_relu_f32",
      "conv2d_i5x3x8_w40x3x3x8_to_i3x1x40b2_f32",
  };
  for (const char* key : keys)
    for (int largest : {2, 4}) check_key(key, "gpu_conv2d_winograd", 2, largest);
}

TEST_CASE("blocks as large as CUDA devices run them equal the reference") {
  if (!has_device()) return;
  Machine machine = machine_for("host-opencl", 2);
  const Machine cuda = machine_for("host-cuda", 2);
  machine.device_threads = cuda.device_threads;
  machine.device_threads_of_few_sums = cuda.device_threads_of_few_sums;
  machine.device_shared_bytes = cuda.device_shared_bytes;
  const std::pair<const char*, const char*> cases[] = {
      {"conv2d_i7x7x256b1_w32x3x3x256_w32_to_i7x7x32b1_padding1_relu_f32",
       "gpu_conv2d_gemm tile_oc=16 tile_pixels=32 register_oc=4 register_pixels=4 depth=8 slices=16"},
      {"conv2d_i14x14x128_w64x1x1x128_w64_to_i14x14x64_relu_f32",
       "gpu_conv2d_gemm tile_oc=64 tile_pixels=28 register_oc=4 register_pixels=4 depth=8 slices=4"},
      {"conv2d_i14x14x64b1_w64x3x3x64_w64_to_i14x14x64b1_padding1_relu_f32",
       "gpu_conv2d_winograd tile=4 tile_oc=32 tiles=8 register_oc=8 register_tiles=8 depth=8"},
      {"conv2d_i14x14x64b1_w64x3x3x64_w64_to_i14x14x64b1_padding1_relu_f32",
       "gpu_conv2d_winograd tile=2 tile_oc=32 tiles=16 register_oc=4 register_tiles=4 depth=8"},
      {"conv2d_i32x30x3b3_w32x7x7x3_w32_to_i8x8x32b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
       "gpu_conv2d_max_pool tile_oc=32 tile_w=8 tile_h=8"},
  };
  for (const auto& [text, choice_text] : cases) {
    const KernelKey key = parse_key(text);
    const Choice choice = parse_choice(choice_text);
    CHECK_MESSAGE(is_legal(key, choice, machine), std::string(choice_text));
    CHECK_MESSAGE(!is_legal(key, choice, machine_for("host-opencl", 2)), std::string(choice_text));
    check_choice(key, choice, machine, 3);
  }
}

TEST_CASE("grouped convolution on a device equals the reference") {
  if (!has_device()) return;
  check_keys("gpu_conv2d_grouped",
             {
                 "conv2d_i7x13x32b1_w32x3x3x4_w32_to_i7x13x32b1_padding1_groups8_relu_f32",
                 "conv2d_i5x11x20b1_w20x3x3x4_w20_to_i5x6x20_stride1x2_padding1_groups5_relu_f32",
                 "conv2d_i9x10x19b1_w19x3x3x1_w19_to_i9x10x19_padding1_groups19_relu_f32",
                 "conv2d_i4x9x36b1_w18x3x3x4_w18_i4x9x18_to_i4x9x18_padding1_groups9_add_relu_f32",
             });
}

TEST_CASE("convolution with max pool on a device equals the reference") {
  if (!has_device()) return;
  check_keys(
      "gpu_conv2d_max_pool",
      {
          "conv2d_i32x30x3b3_w16x7x7x3_w16_to_i8x8x16b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
          "conv2d_i9x13x5b1_w11x3x3x5_w11_i9x13x11_to_i5x7x11_padding1_add_max_pool_kernel3_stride2_padding1_f32",
          "conv2d_i10x9x3b1_w8x3x3x3_w8_to_i3x3x8_stride2_padding1_relu_maximum6_max_pool_kernel3_stride2_padding1_"
          "f32",
          "conv2d_i8x8x4_w8x1x1x4_w8_to_i4x8x8_max_pool_kernel2x3_stride2x1_padding0x1x1x1_f32",
      });
}

TEST_CASE("dense layers on a device equal the reference") {
  if (!has_device()) return;
  check_keys("gpu_dense", {
                              "dense_i4x2x24_w10x24_w10_to_v10_global_average1_f32",
                              "dense_i8x8x64_w100x64_w100_to_v100_global_average1_f32", "dense_v19_w1x19_to_v1_f32",
                              "dense_v300_w65x300_w65_to_v65_f32",
                              "dense_v9000_w20x9000_w20_to_v20_f32",  // more than shared memory holds
                          });
}

TEST_CASE("the other kernels of a device equal the reference") {
  if (!has_device()) return;
  const std::pair<const char*, const char*> keys[] = {
      {"relu_i7x6x16b1_to_i7x6x16_f32", "gpu_elementwise"},
      {"relu_v5_to_v5_maximum6_f32", "gpu_elementwise"},
      {"add_i7x6x5_i7x6x5b1_to_i7x6x5b1_f32", "gpu_elementwise"},
      {"add_v16_v16_to_v16_f32", "gpu_elementwise"},
      {"add_i7x6x16_i14x11x13_to_i7x6x16b1_subsample2_channels_before2_f32", "gpu_elementwise"},
      {"scale_shift_i7x6x70_w70_w70_to_i7x6x70b1_relu1_f32", "gpu_elementwise"},
      {"max_pool_i7x6x16b1_to_i4x3x16_kernel3_stride2_padding1_f32", "gpu_max_pool"},
      {"max_pool_i7x6x5_to_i4x3x5b1_kernel2_stride2_padding0x0x1x1_f32", "gpu_max_pool"},
      {"average_pool_i7x6x5b1_to_i3x3x5_kernel2_stride2_f32", "gpu_average_pool"},
      {"average_pool_i7x6x16b1_to_i4x3x16_kernel3_stride2_padding1_f32", "gpu_average_pool"},
      {"global_average_pool_i2x4x16b1_to_v16_f32", "gpu_global_average_pool"},
      {"input_to_i7x6x16b3_f32", "gpu_layout"},
      {"input_to_i11x9x3b3_f32", "gpu_layout"},
      {"output_i7x6x16b1_to_i7x6x16_f32", "gpu_layout"},
  };
  for (const auto& [key, strategy] : keys) check_key(key, strategy);
}
