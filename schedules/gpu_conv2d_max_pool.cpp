// Convolution followed by a max pool on a device, as in the stem of an ImageNet ResNet: a block of threads computes the
// outputs that its tile of the pool needs into shared memory, those at the tile's edges once more than their neighbour.
#include <algorithm>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  return conv && pool_of(*conv) && conv->groups == 1 && border_holds_padding(key);
}

struct Tile {
  int oc, width, height;        // of the pool's result
  int rows_width, rows_height;  // of the convolution's
  Tile(const Choice& choice, const MaxPool& pool)
      : oc(choice["tile_oc"]),
        width(choice["tile_w"]),
        height(choice["tile_h"]),
        rows_width((width - 1) * pool.stride.w + pool.kernel.w),
        rows_height((height - 1) * pool.stride.h + pool.kernel.h) {}
  int64_t shared_bytes() const { return int64_t{4} * oc * rows_width * rows_height; }
  // Each thread has four channels by `own_rows` rows, one below the other, whose windows share inputs.
  static constexpr int own_rows = 3;
  int across() const { return oc / 4 * rows_width; }
  int along(const Machine& machine) const {
    return std::clamp(most_gpu_threads(machine, 4 * own_rows) / across(), 1, blocks(rows_height, own_rows));
  }
};

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Tile tile(choice, *pool_of(g.conv));
  const double tiles =
      blocks(g.oc, tile.oc) * blocks(key.result.width(), tile.width) * blocks(key.result.height(), tile.height);
  const double work = static_cast<double>(tile.oc) * tile.rows_width * tile.rows_height * g.reduction * g.kh * g.kw;
  GpuBlock block;
  block.threads = tile.across() * tile.along(machine);
  block.shared_bytes = static_cast<double>(tile.shared_bytes());
  block.multiply_adds = work / 0.3;
  return gpu_cycles(tiles, block, operand_bytes(key, machine.batch), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  std::vector<Choice> result;
  for (int oc : {16, 32, 64})
    for (int side : {2, 4, 8}) {
      const Choice choice{"gpu_conv2d_max_pool",
                          {{"tile_oc", oc},
                           {"tile_w", std::min(side, key.result.width())},
                           {"tile_h", std::min(side, key.result.height())}}};
      const Tile tile(choice, *pool_of(g.conv));
      if (oc > 16 && oc / 2 >= round_up(g.oc, gpu_block_channels)) continue;
      if (tile.shared_bytes() > machine.device_shared_bytes) continue;
      if (tile.across() > machine.device_threads) continue;
      result.push_back(choice);
    }
  return ranked(result, key, machine, cycles);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  Conv2dOperands operands(key, g);
  const MaxPool& pool = *pool_of(g.conv);
  const Tile tile(choice, pool);

  Var c("c"), x("x"), y("y"), n("n");
  Halide::RDom r(0, g.reduction, 0, g.kw, 0, g.kh, "r");
  Func sum("sum"), rows("rows"), pooled("pooled");
  const bool whole_tiles = g.oc % tile.oc == 0;
  const Expr block = weight_block(g, c, tile.oc), own = whole_tiles ? Expr(c) : Halide::min(c, g.oc - 1);
  // Outputs beyond the image are asked for by windows that reach over its edge, each of which holds a pixel of the
  // image too. Beyond the left and right those of the nearest pixel do no harm to a maximum; rows, of which a thread
  // has several that share inputs, are read from where memory ends and then left out.
  const Expr x_in = Halide::clamp(x, 0, g.ow - 1), y_in = Halide::clamp(y, 0, g.oh - 1);
  const Expr row_in = Halide::clamp(y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h,
                                    -g.input.border.top, g.input.height() + g.input.border.bottom - 1);
  sum(c, x, y, n) = first_sum(g, operands, c, tile.oc);
  sum(c, x, y, n) +=
      operands.input(r.x, x_in * g.conv.stride.w - g.conv.padding.left + r.y * g.conv.dilation.w, row_in, n) *
      operands.weight(c % g.block, r.x, r.y, r.z, block);
  // As a comparison of unsigned numbers: from y == y_in Halide would conclude that a thread's first rows need no sum,
  // and that no thread begins outside the image, since bound_extent says how many rows each has.
  const Expr is_inside = Halide::cast<uint32_t>(y) < Expr(static_cast<uint32_t>(g.oh));
  rows(c, x, y, n) =
      Halide::select(is_inside, apply_epilogue(key, operands, sum(c, x, y, n), own, x_in, y_in, n, Expr(), 1),
                     Halide::Float(32).min());
  Expr best;
  for (int ky = 0; ky < pool.kernel.h; ky++)
    for (int kx = 0; kx < pool.kernel.w; kx++) {
      const Expr value =
          rows(c, x * pool.stride.w - pool.padding.left + kx, y * pool.stride.h - pool.padding.top + ky, n);
      best = best.defined() ? Halide::max(best, value) : value;
    }
  pooled(c, x, y, n) = best;

  Interior to(pooled, key.result);
  Var c_tile("c_tile"), c_own("c_own"), c_thread("c_thread"), y_own("y_own"), y_thread("y_thread");
  RVar x_tile("x_tile"), x_thread("x_thread"), y_tile("y_tile"), row("row"), row_own("row_own"), tiles("tiles");
  const int along = tile.along(machine);
  to.result.bound(to.c, 0, g.oc);
  to.store.split(to.c, c_tile, to.c, tile.oc, whole_tiles ? TailStrategy::RoundUp : TailStrategy::GuardWithIf)
      .split(to.c, c_thread, c_own, 4)
      .split(to.x, x_tile, x_thread, tile.width, TailStrategy::GuardWithIf)
      .split(to.y, y_tile, row, tile.height, TailStrategy::GuardWithIf)
      .split(row, row, row_own, blocks(tile.height, along), TailStrategy::GuardWithIf)
      .reorder(c_own, row_own, c_thread, x_thread, row, x_tile, y_tile, c_tile, to.n)
      .fuse(x_tile, y_tile, tiles)
      .gpu_blocks(tiles, c_tile, to.n)
      .gpu_threads(c_thread, x_thread, row);
  rows.compute_at(to.result, tiles)
      .store_in(Halide::MemoryType::GPUShared)
      .bound_extent(c, tile.oc)
      .bound_extent(x, tile.rows_width)
      .bound_extent(y, tile.rows_height)
      .split(c, c_thread, c_own, 4)
      .split(y, y, y_own, Tile::own_rows, TailStrategy::GuardWithIf)
      .split(y, y, y_thread, along, TailStrategy::GuardWithIf)
      .reorder(c_own, y_own, y, c_thread, x, y_thread, n)
      .gpu_threads(c_thread, x, y_thread)
      .vectorize(c_own)
      .unroll(y_own);
  sum.compute_at(rows, y)
      .store_in(Halide::MemoryType::Register)
      .bound_extent(c, 4)
      .bound_extent(y, Tile::own_rows)
      .vectorize(c)
      .unroll(y);
  sum.update().reorder(c, y, r.z, r.x, r.y).vectorize(c).unroll(y);
  if (whole_tiles) {
    to.store.vectorize(c_own);
    align_operands(operands, to.result);
  }
  if (g.kh <= 7) sum.update().unroll(r.z);
  if (g.reduction <= 4) sum.update().unroll(r.x);
  return {Halide::Pipeline(to.result), operands.arguments};
}

}  // namespace

const Strategy gpu_conv2d_max_pool = {"gpu_conv2d_max_pool", applies, choices, build, pack_gpu_conv2d, cycles, 2};

}  // namespace resnetc
