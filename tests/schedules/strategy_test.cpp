#include "schedules/strategy.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace resnetc;

namespace {

// 16 channels to 32, of 13 x 10 pixels.
const KernelKey key = parse_key("conv2d_i13x10x16b1_w32x3x3x16_w32_to_i13x10x32_padding1_relu_f32");
const Machine avx2 = machine_for("x86-64-linux-avx2-fma-f16c", 2);

int64_t executed(int tile, int tile_rows, int groups, int part, bool stored) {
  const Choice choice = parse_choice(
      fmt::format("conv2d_winograd tile={} oc_vectors=1 pixels=4 channel_part={} tile_rows={} channel_groups={} "
                  "stored={} prefetch=0",
                  tile, part, tile_rows, groups, stored ? 1 : 0));
  return executed_flop(key, choice, avx2);
}

}  // namespace

TEST_CASE("strategy: what sums directly executes its operations, and Winograd others") {
  CHECK(executed_flop(key, parse_choice("conv2d_direct oc_vectors=2 pixels=4"), avx2) == 2 * 13 * 10 * 9 * 16 * 32);
  // F(2x2, 3x3), 7 x 5 tiles: 16 products a pair of channels. By hand: four additions transform four inputs, three a
  // column of weights, six a row of sums, so 8 of the first an input tile, 3 + 4 and 4 + 2 of the others.
  const int64_t tiles = 7 * 5, products = 2 * 16 * tiles * 16 * 32;
  CHECK(executed(2, 7, 0, 16, true) == products + tiles * 16 * 32 + tiles * 32 * 36);
  CHECK(executed(2, 7, 0, 16, false) == products + tiles * 16 * 32 + tiles * 32 * 36 + 16 * 32 * 21);
  // Inputs once for each group of channels, weights once for each strip of tiles.
  CHECK(executed(2, 4, 2, 16, false) == products + 2 * tiles * 16 * 32 + tiles * 32 * 36 + 2 * 16 * 32 * 21);
  // Two parts of the input channels are added up.
  CHECK(executed(2, 7, 1, 8, true) == products + tiles * 16 * 32 + tiles * 32 * (36 + 2 * 16));
  // F(4x4, 3x3), 4 x 3 tiles.
  const int64_t rest = executed(4, 4, 0, 16, true) - int64_t{2} * 36 * 12 * 16 * 32;
  CHECK(rest > 0);
  CHECK(rest < int64_t{2} * 36 * 12 * 16 * 32);
}
