#include "schedules/strategy.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "schedules/winograd_shape.h"
#include "tests/support/kernel_runner.h"

using namespace resnetc;

namespace {

// 16 channels to 32, of 13 x 10 pixels.
const KernelKey conv = parse_key("conv2d_i13x10x16b1_w32x3x3x16_w32_to_i13x10x32_padding1_relu_f32");
const Machine avx2 = machine_for("x86-64-linux-avx2-fma-f16c", 2);

int64_t executed(int tile, int tile_rows, int groups, int part, WinogradShape::Stored stored, int task_strips = 0,
                 int pixels = 4) {
  Choice choice = parse_choice(
      fmt::format("conv2d_winograd tile={} oc_vectors=1 pixels={} channel_part={} tile_rows={} channel_groups={} "
                  "stored={} prefetch=0",
                  tile, pixels, part, tile_rows, groups, static_cast<int>(stored)));
  if (task_strips > 0) choice.parameters.emplace_back("task_strips", task_strips);
  return executed_flop(conv, choice, avx2);
}

}  // namespace

TEST_CASE("strategy: what sums directly executes its operations, and Winograd others") {
  CHECK(executed_flop(conv, parse_choice("conv2d_direct oc_vectors=2 pixels=4"), avx2) == 2 * 13 * 10 * 9 * 16 * 32);
  // F(2x2, 3x3), 7 x 5 tiles: 16 products a pair of channels. By hand: four additions transform four inputs, three a
  // column of weights, six a row of sums, so 8 of the first an input tile, 3 + 4 and 4 + 2 of the others.
  const int64_t tiles = 7 * 5, products = 2 * 16 * tiles * 16 * 32;
  CHECK(executed(2, 7, 0, 16, WinogradShape::in_file) == products + tiles * 16 * 32 + tiles * 32 * 36);
  CHECK(executed(2, 7, 0, 16, WinogradShape::in_buffer) == products + tiles * 16 * 32 + tiles * 32 * 36 + 16 * 32 * 21);
  // Inputs once for each group of channels, weights once for each strip of tiles.
  CHECK(executed(2, 4, 2, 16, WinogradShape::in_buffer) ==
        products + 2 * tiles * 16 * 32 + tiles * 32 * 36 + 2 * 16 * 32 * 21);
  // Or once for each task of several strips.
  CHECK(executed(2, 1, 2, 16, WinogradShape::in_buffer, 7) ==
        products + 2 * tiles * 16 * 32 + tiles * 32 * 36 + 16 * 32 * 21);
  CHECK(executed(2, 1, 1, 16, WinogradShape::in_buffer, 3) ==
        products + tiles * 16 * 32 + tiles * 32 * 36 + 3 * 16 * 32 * 21);
  // In registers weights are transformed for each register tile, nine of four tiles; half a row of them needs all three
  // columns too. In strips of four rows there are two times five.
  CHECK(executed(2, 7, 0, 16, WinogradShape::never_kept) ==
        products + tiles * 16 * 32 + tiles * 32 * 36 + 9 * 16 * 32 * 21);
  CHECK(executed(2, 7, 0, 16, WinogradShape::never_kept_in_parts) ==
        products + tiles * 16 * 32 + tiles * 32 * 36 + 9 * 16 * 32 * (21 + 3 * 3));
  CHECK(executed(2, 4, 2, 16, WinogradShape::never_kept_in_parts) ==
        products + 2 * tiles * 16 * 32 + tiles * 32 * 36 + 2 * 5 * 16 * 32 * (21 + 3 * 3));
  // Two parts of the input channels are added up.
  CHECK(executed(2, 7, 1, 8, WinogradShape::in_file) == products + tiles * 16 * 32 + tiles * 32 * (36 + 2 * 16));
  // F(4x4, 3x3), 4 x 3 tiles.
  const int64_t rest = executed(4, 4, 0, 16, WinogradShape::in_file) - int64_t{2} * 36 * 12 * 16 * 32;
  CHECK(rest > 0);
  CHECK(rest < int64_t{2} * 36 * 12 * 16 * 32);
}

TEST_CASE("strategy: Winograd's tiles that reach over the edge execute less") {
  // F(4x4, 3x3), 4 rows of 3 tiles, which reach over by three and by two pixels: two rows and two columns of values are
  // spared. Eight operations transform three weights: two of four register tiles' 24 rows are not made.
  const auto executed_by = [](WinogradShape::Stored stored, int pixels) {
    return executed(4, 4, 0, 16, stored, 0, pixels);
  };
  const int64_t in_file = executed_by(WinogradShape::in_file, 3);
  CHECK(executed_by(WinogradShape::in_file, 4) - in_file == int64_t{2} * (24 * 18 - 22 * 16) * 16 * 32);
  CHECK(executed_by(WinogradShape::never_kept, 3) - in_file == int64_t{22} * (3 + 6) * 8 / 6 * 16 * 32);
  CHECK(executed_by(WinogradShape::never_kept, 1) - in_file == int64_t{72 - 3 * 2} * (3 + 6) * 8 / 6 * 16 * 32);
  // F(5x5, 3x3), three rows of two tiles, which reach over by two pixels: 19 of 21 rows of weights. Eleven operations
  // transform three; of a row's three parts the last needs one column of them, the others all three.
  const auto rows_of_weights = [](int columns) { return int64_t{19} * (columns + 7) * 11 / 7 * 16 * 32; };
  CHECK(executed(5, 3, 0, 16, WinogradShape::never_kept_in_parts, 0, 2) -
            executed(5, 3, 0, 16, WinogradShape::never_kept, 0, 2) ==
        rows_of_weights(3 + 3 + 1) - rows_of_weights(3));
  // A register tile of both rows of tiles makes all rows of weights.
  CHECK(executed_by(WinogradShape::never_kept, 6) - in_file == int64_t{12} * (3 + 6) * 8 / 6 * 16 * 32);
}

TEST_CASE("strategy: what runs on the CPU in place of a device reads the same weights") {
  for (const char* text :
       {"conv2d_i7x7x16b1_w32x3x3x16_w32_to_i7x7x32b1_padding1_relu_f32",
        "conv2d_i10x7x5_w17x1x1x5_w17_to_i10x7x17_f32", "conv2d_i9x11x24b1_w13x3x3x24_to_i9x11x13b1_padding1_f32",
        "conv2d_i7x13x32b1_w32x3x3x4_w32_to_i7x13x32b1_padding1_groups8_relu_f32",
        "conv2d_i9x10x19b1_w19x3x3x1_w19_to_i9x10x19_padding1_groups19_relu_f32",
        "conv2d_i32x30x3b3_w16x7x7x3_w16_to_i8x8x16b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
        "dense_i4x2x24_w10x24_w10_to_v10_global_average1_f32", "dense_v300_w65x300_w65_to_v65_f32",
        "scale_shift_i7x6x70_w70_w70_to_i7x6x70b1_relu1_f32"})
    for (const char* target :
         {"x86-64-linux-sse41-cuda", "x86-64-linux-avx2-fma-opencl", "x86-64-linux-avx512_skylake-cuda"}) {
      const KernelKey key = parse_key(text);
      const Machine machine = machine_for(target, 2), cpu = host_of(machine);
      REQUIRE(cpu.device == Device::cpu);
      REQUIRE(cpu.target == machine.cpu);
      const Choice fallback = fallback_choice(key, cpu);
      for (const Choice& choice : candidates(key, machine))
        for (size_t i = 0; i < key.operands.size(); i++) {
          if (key.operands[i].is_activation()) continue;
          const std::vector<float> values = integer_tensor(key.operands[i].dims, 3, -9, 9).values;
          const PackedWeight there = strategy_named(choice.strategy).pack(key, choice, machine, i, values);
          const PackedWeight here = strategy_named(fallback.strategy).pack(key, fallback, cpu, i, values);
          INFO(text << " " << to_string(choice) << " " << to_string(fallback) << " " << target);
          CHECK(there.extent == here.extent);
          CHECK(there.values == here.values);
        }
    }
}

TEST_CASE("strategy: candidates are ranked by their estimates, each once") {
  const auto cycles = [](const KernelKey&, const Choice& choice, const Machine&) {
    return static_cast<double>(choice["cost"] / 10);
  };
  std::vector<Choice> choices;
  for (int cost : {25, 11, 25, 12, 3, 11, 12, 11}) choices.push_back({"any", {{"cost", cost}}});
  std::vector<int> costs;
  for (const Choice& choice : ranked(choices, conv, avx2, cycles)) costs.push_back(choice["cost"]);
  CHECK(costs == std::vector{3, 11, 12, 25});
}
