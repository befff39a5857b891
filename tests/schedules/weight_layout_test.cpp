#include "schedules/weight_layout.h"

#include <doctest/doctest.h>

#include <bit>

#include "schedules/strategy.h"

using namespace resnetc;

namespace {

// 1, 2, 3 …, which are bf16 up to 256.
PackedWeight counted(const std::vector<int>& extent) {
  PackedWeight plain{extent, {}};
  size_t count = 1;
  for (int e : extent) count *= static_cast<size_t>(e);
  for (size_t i = 0; i < count; i++) plain.values.push_back(static_cast<float>(i + 1));
  return plain;
}

// The weights in a lane, lower half first.
std::pair<float, float> halves(float lane) {
  const auto bits = std::bit_cast<uint32_t>(lane);
  return {std::bit_cast<float>(bits << 16), std::bit_cast<float>(bits & 0xffff0000)};
}

}  // namespace

TEST_CASE("weight layout: bf16 of two vectors lie in one") {
  const WeightLayout layout{DType::bf16, {16, 3, 2}, 4};
  CHECK(layout.pairs_vectors());
  CHECK(layout.stored_extent() == std::vector<int>{8, 3, 2});
  CHECK(layout.bytes() == 16 * 3 * 2 * 2);
  const PackedWeight plain = counted(layout.extent), stored = layout.stored(plain);
  CHECK(stored.extent == layout.stored_extent());
  REQUIRE(stored.values.size() == 48);
  // Channels 0 to 3 with 4 to 7, then 8 to 11 with 12 to 15; input channel by input channel.
  CHECK(halves(stored.values[0]) == std::pair(1.0f, 5.0f));
  CHECK(halves(stored.values[3]) == std::pair(4.0f, 8.0f));
  CHECK(halves(stored.values[4]) == std::pair(9.0f, 13.0f));
  CHECK(halves(stored.values[8]) == std::pair(17.0f, 21.0f));
  CHECK(halves(stored.values[47]) == std::pair(92.0f, 96.0f));
}

TEST_CASE("weight layout: where a block has an odd number of vectors two input channels lie in one") {
  const WeightLayout layout{DType::bf16, {4, 3, 2}, 4};
  CHECK(layout.pairs_input_channels());
  CHECK(layout.stored_extent() == std::vector<int>{4, 2, 2});
  const PackedWeight stored = layout.stored(counted(layout.extent));
  REQUIRE(stored.values.size() == 16);
  CHECK(halves(stored.values[0]) == std::pair(1.0f, 5.0f));
  CHECK(halves(stored.values[3]) == std::pair(4.0f, 8.0f));
  CHECK(halves(stored.values[4]) == std::pair(9.0f, 0.0f));  // the third, alone
  CHECK(halves(stored.values[8]) == std::pair(13.0f, 17.0f));
  CHECK(halves(stored.values[15]) == std::pair(24.0f, 0.0f));
  CHECK(WeightLayout{DType::bf16, {12, 2, 1}, 4}.pairs_input_channels());
  CHECK(WeightLayout{DType::bf16, {16, 2, 1}, 0}.pairs_input_channels());
}

TEST_CASE("weight layout: f32 stays as it is") {
  const WeightLayout layout{DType::f32, {8, 3, 2}, 4};
  const PackedWeight plain = counted(layout.extent), stored = layout.stored(plain);
  CHECK(stored.extent == plain.extent);
  CHECK(stored.values == plain.values);
  CHECK(layout.bytes() == 8 * 3 * 2 * 4);
}

TEST_CASE("weights as bf16: the key says so, and devices have no strategy for it") {
  const char* text = "conv2d_i7x7x16b1_w32x3x3x16bf16_w32_to_i7x7x32b1_padding1_relu_f32";
  const KernelKey key = parse_key(text);
  CHECK(key.operands[1] == weight_type({32, 3, 3, 16}, DType::bf16));
  CHECK(key.operands[2] == weight_type({32}));
  CHECK(to_string(key) == text);
  CHECK_THROWS_AS(parse_key("conv2d_i7x7x16bf16_w32x3x3x16_w32_to_i7x7x32_f32"), Error);
  CHECK_THROWS_AS(parse_key("conv2d_i7x7x16_w32x3x3x16bf1_to_i7x7x32_f32"), Error);
  const Machine avx2 = machine_for("x86-64-linux-avx2-fma", 2);
  for (const auto& [strategy, of] :
       {std::pair{"conv2d_direct", text},
        {"conv2d_winograd", text},
        {"conv2d_grouped", "conv2d_i7x7x32b1_w32x3x3x4bf16_w32_to_i7x7x32_padding1_groups8_f32"},
        {"conv2d_interleaved", "conv2d_i7x7x32b1_w32x3x3x4bf16_w32_to_i7x7x32_padding1_groups8_interleave8_f32"},
        {"conv2d_max_pool", "conv2d_i8x8x3_w16x1x1x3bf16_w16_to_i4x4x16_max_pool_kernel2_stride2_f32"},
        {"dense", "dense_v20_w10x20bf16_w10_to_v10_f32"}}) {
    CHECK(strategy_named(strategy).applies(parse_key(of), avx2));
    CHECK(!strategy_named(strategy).candidates(parse_key(of), avx2).empty());
  }
  CHECK_THROWS_AS(candidates(key, machine_for("x86-64-linux-avx2-fma-opencl", 2)), Error);
}

TEST_CASE("weights as bf16: half as many bytes to read, and Winograd's are never stored transformed") {
  const Machine machine = machine_for("x86-64-linux-avx512_skylake", 2);
  const auto key = [](const char* dtype) {
    return parse_key(std::string("conv2d_i7x7x1024_w2048x1x1x1024") + dtype + "_to_i7x7x2048_f32");
  };
  const auto cycles = [&](const char* dtype) {
    const KernelKey k = key(dtype);
    return estimated_cycles(k, default_choice(k, machine), machine);
  };
  CHECK(cycles("bf16") < cycles(""));
  const auto dense = [&](const char* dtype) {
    const KernelKey k = parse_key(std::string("dense_v2048_w1000x2048") + dtype + "_to_v1000_f32");
    return estimated_cycles(k, default_choice(k, machine), machine);
  };
  CHECK(dense("bf16") < 0.55 * dense(""));
  for (const char* dtype : {"", "bf16"}) {
    const KernelKey k = parse_key(std::string("conv2d_i14x14x16b1_w16x3x3x16") + dtype + "_to_i14x14x16_padding1_f32");
    bool stored = false;
    for (const Choice& choice : candidates(k, machine))
      stored = stored || (choice.strategy == "conv2d_winograd" && choice["stored"] == 1);
    CHECK(stored == (std::string(dtype).empty()));
  }
}
