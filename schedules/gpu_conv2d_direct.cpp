// Convolution on a device with a window larger than a pixel: a block of threads has a tile of columns, rows and output
// channels. `depth` channels of the inputs that the tile's windows cover are staged in shared memory once for all taps,
// and the weights of these channels; each thread keeps register_oc x register_w sums.
#include <algorithm>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::MemoryType;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (!conv || pool_of(*conv) || conv->groups != 1 || !border_holds_padding(key)) return false;
  return key.operands[1].dims[1] * key.operands[1].dims[2] > 1;
}

struct Tile {
  int oc, width, height, register_oc, register_w, depth;
  int columns, rows;  // of the input
  Tile(const Choice& choice, const Conv2dGeometry& g)
      : oc(choice["tile_oc"]),
        width(choice["tile_w"]),
        height(choice["tile_h"]),
        register_oc(choice["register_oc"]),
        register_w(choice["register_w"]),
        depth(choice["depth"]),
        columns((width - 1) * g.conv.stride.w + (g.kw - 1) * g.conv.dilation.w + 1),
        rows((height - 1) * g.conv.stride.h + (g.kh - 1) * g.conv.dilation.h + 1) {}
  int across() const { return oc / register_oc; }
  int threads() const { return across() * (width / register_w) * height; }
  int64_t shared_bytes(const Conv2dGeometry& g) const {
    return int64_t{4} * depth * (oc * g.kh * g.kw + columns * rows);
  }
};

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Tile tile(choice, g);
  const double taps = g.kh * g.kw;
  const double tiles = blocks(g.oc, tile.oc) * blocks(g.ow, tile.width) * blocks(g.oh, tile.height);
  GpuBlock block;
  block.threads = tile.threads();
  block.sums = tile.register_oc * tile.register_w;
  block.registers =
      28 + 1.6 * block.sums + 2.4 * (tile.oc * taps + tile.columns * tile.rows) * tile.depth / tile.threads();
  block.shared_bytes = static_cast<double>(tile.shared_bytes(g));
  block.stages = static_cast<double>(g.reduction) / tile.depth;
  block.ahead = true;
  block.loaded_floats = block.staged_floats =
      (tile.oc * taps + static_cast<double>(tile.columns) * tile.rows) * g.reduction;
  block.multiply_adds = static_cast<double>(tile.oc) * tile.width * tile.height * taps * g.reduction;
  block.shared_reads = block.multiply_adds * (1.0 / tile.register_oc + 1.0 / tile.register_w);
  return gpu_cycles(tiles, block, operand_bytes(key, machine.batch), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  std::vector<Choice> result;
  for (int oc : {16, 32, 64})
    for (int width : {7, 8, 14, 16})
      for (int height : {4, 7, 8})
        for (int register_oc : {4, 8})
          for (int register_w : {2, 4, 7})
            for (int most_depth : {4, 8}) {
              if (width % register_w != 0 || (width > 8 && width / 2 >= g.ow) || (height > 4 && height / 2 >= g.oh))
                continue;
              if (oc > 16 && oc / 2 >= round_up(g.oc, gpu_block_channels)) continue;
              const Choice choice{"gpu_conv2d_direct",
                                  {{"tile_oc", oc},
                                   {"tile_w", width},
                                   {"tile_h", height},
                                   {"register_oc", register_oc},
                                   {"register_w", register_w},
                                   {"depth", largest_divisor(g.reduction, most_depth)}}};
              const Tile tile(choice, g);
              if (tile.threads() < 32 || tile.threads() > machine.device_threads) continue;
              if (tile.shared_bytes(g) > machine.device_shared_bytes) continue;
              result.push_back(choice);
            }
  return ranked(result, key, machine, cycles);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  Conv2dOperands operands(key, g);
  const Tile tile(choice, g);

  Var c("c"), x("x"), y("y"), n("n"), k("k"), kx("kx"), ky("ky");
  Func image("image"), filter("filter"), sum("sum"), value("value");
  // The tiles at the right and bottom edge cover windows beyond the image, whose sums are not stored.
  image(k, x, y, n) = operands.input(k, Halide::min(x, g.input.width() + g.input.border.right - 1),
                                     Halide::min(y, g.input.height() + g.input.border.bottom - 1), n);
  const Expr block = weight_block(g, c, tile.oc);
  filter(c, k, kx, ky) = operands.weight(c % g.block, k, kx, ky, block);
  Halide::RDom r(0, g.reduction, 0, g.kw, 0, g.kh, "r");
  sum(c, x, y, n) = first_sum(g, operands, c, tile.oc);
  sum(c, x, y, n) += image(r.x, x * g.conv.stride.w - g.conv.padding.left + r.y * g.conv.dilation.w,
                           y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h, n) *
                     filter(c, r.x, r.y, r.z);
  value(c, x, y, n) = apply_epilogue(key, operands, sum(c, x, y, n), c, x, y, n, Expr(), 1);

  Interior to(value, key.result);
  Var c_tile("c_tile"), c_thread("c_thread"), c_own("c_own"), four("four"), x_thread("x_thread"), x_own("x_own");
  RVar to_x_tile("to_x_tile"), to_x_thread("to_x_thread"), to_x_own("to_x_own"), y_tile("y_tile"), row("row"),
      tiles("tiles");
  const auto tail = [](int size, int part) {
    return size % part == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf;
  };
  const auto own_channels = [&](auto&& of, const Var& channel) {
    split_channels_by_fours(of, channel, c_own, c_thread, four, tile.across());
  };
  to.result.bound(to.c, 0, g.oc);
  to.store.split(to.c, c_tile, to.c, tile.oc, tail(g.oc, tile.oc));
  own_channels(to.store, to.c);
  to.store.split(to.x, to_x_tile, to.x, tile.width, TailStrategy::GuardWithIf)
      .split(to.x, to_x_thread, to_x_own, tile.register_w)
      .split(to.y, y_tile, row, tile.height, TailStrategy::GuardWithIf)
      .reorder(four, c_own, to_x_own, c_thread, to_x_thread, row, to_x_tile, y_tile, c_tile, to.n)
      .fuse(to_x_tile, y_tile, tiles)
      .gpu_blocks(tiles, c_tile, to.n)
      .gpu_threads(c_thread, to_x_thread, row)
      .unroll(c_own)
      .unroll(to_x_own);
  if (g.oc % tile.oc == 0) {
    to.store.vectorize(four);
  } else {
    to.store.unroll(four);
  }
  sum.compute_at(to.result, tiles)
      .store_in(MemoryType::Register)
      .bound_extent(c, tile.oc)
      .bound_extent(x, tile.width)
      .bound_extent(y, tile.height)
      .split(x, x_thread, x_own, tile.register_w);
  own_channels(sum, c);
  sum.reorder(four, c_own, x_own, c_thread, x_thread, y, n)
      .gpu_threads(c_thread, x_thread, y)
      .unroll(four)
      .unroll(c_own)
      .unroll(x_own);
  RVar stage("stage"), within("within");
  Halide::Stage adding = sum.update();
  own_channels(adding, c);
  adding.split(x, x_thread, x_own, tile.register_w)
      .split(r.x, stage, within, tile.depth)
      .reorder(four, c_own, x_own, within, r.y, r.z, c_thread, x_thread, y, stage, n)
      .gpu_threads(c_thread, x_thread, y)
      .unroll(four)
      .unroll(c_own)
      .unroll(x_own)
      .unroll(within);
  if (g.kw <= 3) adding.unroll(r.y);

  const int width = tile.depth % 4 == 0 ? 4 : 1;
  Var f("f"), f_step("f_step"), lane("lane");
  const auto share = [&](Func& staged) {
    share_among_threads(staged, f, lane, f_step, tile.oc / tile.register_oc, tile.width / tile.register_w, tile.height);
    staged.vectorize(lane);
  };
  image.compute_at(sum, stage)
      .store_in(MemoryType::GPUShared)
      .bound_extent(k, tile.depth)
      .bound_extent(x, tile.columns)
      .bound_extent(y, tile.rows)
      .split(k, k, lane, width)
      .fuse(k, x, f)
      .fuse(f, y, f);
  share(image);
  filter.compute_at(sum, stage)
      .store_in(MemoryType::GPUShared)
      .bound_extent(c, tile.oc)
      .bound_extent(k, tile.depth)
      .split(c, c, lane, 4)
      .fuse(c, k, f)
      .fuse(f, kx, f)
      .fuse(f, ky, f);
  share(filter);

  align_operands(operands, to.result);
  KernelPipeline kernel{Halide::Pipeline(to.result), operands.arguments};
  kernel.passes = keep_sums_in_registers(kernel.pipeline, sum.name());
  kernel.passes += stage_ahead(kernel.pipeline);
  return kernel;
}

}  // namespace

const Strategy gpu_conv2d_direct = {"gpu_conv2d_direct", applies, choices, build, pack_gpu_conv2d, cycles, 2};

}  // namespace resnetc
