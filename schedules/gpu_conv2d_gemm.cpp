// Convolution on a device as a matrix product: output channels by pixels of the whole batch, summed over the window and
// its channels. A block of threads has a tile of both; `depth` channels of one tap at a time, of the pixels' inputs and
// of the weights, are staged in shared memory, and each thread keeps register_oc x register_pixels sums. A 1x1
// convolution is the plain product. Tiles span rows and images, so that small images leave no thread idle.
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
  return conv && !pool_of(*conv) && conv->groups == 1 && border_holds_padding(key);
}

struct Tile {
  int oc, pixels, register_oc, register_pixels, depth;
  explicit Tile(const Choice& choice)
      : oc(choice["tile_oc"]),
        pixels(choice["tile_pixels"]),
        register_oc(choice["register_oc"]),
        register_pixels(choice["register_pixels"]),
        depth(choice["depth"]) {}
  int threads() const { return oc / register_oc * (pixels / register_pixels); }
};

double cycles(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Tile tile(choice);
  const double steps = static_cast<double>(g.reduction) * g.kh * g.kw, stages = steps / tile.depth;
  // A multiply-add reads two operands from shared memory, less what it shares within the register tile.
  const double shared = 1.0 / tile.register_oc + 1.0 / tile.register_pixels;
  const double hidden = std::min(1.0, tile.threads() / 128.0);
  const double efficiency = hidden / (1.0 + 0.8 * shared);
  const double staging = stages * (60.0 * 128 + (tile.oc + tile.pixels) * tile.depth * 2.0);
  const double tiles = blocks(g.oc, tile.oc) * blocks(g.oh * g.ow, tile.pixels);
  return gpu_cycles(tiles, tile.oc * tile.pixels * steps + staging, efficiency, operand_bytes(key));
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const int most_oc = round_up(g.oc, gpu_block_channels), pixels = g.oh * g.ow;
  std::vector<Choice> result;
  for (int oc : {16, 32, 64, 128})
    for (int tile_pixels : {16, 32, 64, 128})
      for (int register_oc : {4, 8})
        for (int register_pixels : {2, 4, 8})
          for (int most_depth : {8, 16}) {
            const int depth = largest_divisor(g.reduction, most_depth);
            const Choice choice{"gpu_conv2d_gemm",
                                {{"tile_oc", oc},
                                 {"tile_pixels", tile_pixels},
                                 {"register_oc", register_oc},
                                 {"register_pixels", register_pixels},
                                 {"depth", depth}}};
            const Tile tile(choice);
            // More than one tile that is larger than all there is would only compute what is thrown away.
            if ((oc > 16 && oc / 2 >= most_oc) || (tile_pixels > 16 && tile_pixels / 2 >= pixels)) continue;
            if (tile.threads() < 32 || tile.threads() > machine.device_threads) continue;
            if (int64_t{4} * (oc + tile_pixels) * depth > machine.device_shared_bytes) continue;
            result.push_back(choice);
          }
  return ranked(result, key, machine, cycles);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Conv2dOperands operands(key, g);
  const Tile tile(choice);
  const int image_pixels = g.oh * g.ow;
  const Expr images = operands.input.dim(3).extent(), pixels = images * image_pixels;
  // Threads of the last tile that have no pixel of their own do the last one again.
  const auto pixel = [&](const Expr& tile_index, const Expr& within) {
    return Halide::min(tile_index * tile.pixels + within, pixels - 1);
  };

  Var c("c"), x("x"), y("y"), n("n"), i("i"), t("t"), k("k"), kx("kx"), ky("ky");
  Func image("image"), filter("filter"), sum("sum"), result("result");
  const Expr p = pixel(t, i), in_image = remainder(p, image_pixels);
  image(i, k, kx, ky, t) =
      operands.input(k, remainder(in_image, g.ow) * g.conv.stride.w - g.conv.padding.left + kx * g.conv.dilation.w,
                     quotient(in_image, g.ow, g.oh - 1) * g.conv.stride.h - g.conv.padding.top + ky * g.conv.dilation.h,
                     quotient(p, image_pixels, images - 1));
  const Expr block = weight_block(g, c);
  filter(c, k, kx, ky) = operands.weight(c % g.block, k, kx, ky, block);
  Halide::RDom r(0, g.reduction, 0, g.kw, 0, g.kh, "r");
  sum(c, i, t) = first_sum(g, operands, c);
  sum(c, i, t) += image(i, r.x, r.y, r.z, t) * filter(c, r.x, r.y, r.z);

  Halide::RDom q(0, tile.pixels, 0, (pixels + tile.pixels - 1) / tile.pixels, "q");
  const Expr done = pixel(q.y, q.x), at = remainder(done, image_pixels), x_done = remainder(at, g.ow),
             y_done = quotient(at, g.ow, g.oh - 1), n_done = quotient(done, image_pixels, images - 1);
  result(c, x, y, n) = Halide::undef<float>();
  result(c, x_done, y_done, n_done) =
      apply_epilogue(key, operands, sum(c, q.x, q.y), c, x_done, y_done, n_done, Expr(), 1);

  bound_bordered_result(result, key.result);
  result.bound(c, 0, g.oc);
  Var c_tile("c_tile"), c_thread("c_thread"), c_own("c_own"), i_thread("i_thread"), i_own("i_own");
  RVar q_thread("q_thread"), q_own("q_own");
  Halide::Stage store = result.update();
  store.allow_race_conditions();
  store.split(c, c_tile, c, tile.oc, g.oc % tile.oc == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf)
      .split(c, c_thread, c_own, tile.register_oc)
      .split(q.x, q_thread, q_own, tile.register_pixels)
      .reorder(c_own, q_own, c_thread, q_thread, q.y, c_tile)
      .gpu_blocks(q.y, c_tile)
      .gpu_threads(c_thread, q_thread)
      .unroll(c_own)
      .unroll(q_own);

  sum.compute_at(result, q.y)
      .store_in(MemoryType::Register)
      .bound_extent(c, tile.oc)
      .bound_extent(i, tile.pixels)
      .split(c, c_thread, c_own, tile.register_oc)
      .split(i, i_thread, i_own, tile.register_pixels)
      .reorder(c_own, i_own, c_thread, i_thread, t)
      .gpu_threads(c_thread, i_thread)
      .unroll(c_own)
      .unroll(i_own);
  RVar stage("stage"), within("within");
  sum.update()
      .split(c, c_thread, c_own, tile.register_oc)
      .split(i, i_thread, i_own, tile.register_pixels)
      .split(r.x, stage, within, tile.depth)
      .reorder(c_own, i_own, within, c_thread, i_thread, stage, r.y, r.z, t)
      .gpu_threads(c_thread, i_thread)
      .unroll(c_own)
      .unroll(i_own)
      .unroll(within);

  // Neighbouring threads bring neighbouring channels of a pixel, and neighbouring output channels of a weight.
  const int across = tile.oc / tile.register_oc, along = tile.pixels / tile.register_pixels;
  Var f("f"), f_across("f_across"), f_along("f_along"), f_step("f_step");
  const auto share = [&](Func& staged, const Var& inner, const Var& outer) {
    staged.fuse(inner, outer, f)
        .split(f, f, f_across, across, TailStrategy::GuardWithIf)
        .split(f, f_step, f_along, along, TailStrategy::GuardWithIf)
        .reorder(f_across, f_along, f_step)
        .gpu_threads(f_across, f_along);
  };
  image.compute_at(sum, stage).store_in(MemoryType::GPUShared).bound_extent(i, tile.pixels).bound_extent(k, tile.depth);
  share(image.reorder(k, i, kx, ky, t), k, i);
  filter.compute_at(sum, stage).store_in(MemoryType::GPUShared).bound_extent(c, tile.oc).bound_extent(k, tile.depth);
  share(filter, c, k);

  KernelPipeline kernel{Halide::Pipeline(result), operands.arguments};
  kernel.passes = keep_sums_in_registers(kernel.pipeline, sum.name());
  return kernel;
}

}  // namespace

const Strategy gpu_conv2d_gemm = {"gpu_conv2d_gemm", applies, choices, build, pack_gpu_conv2d, cycles};

}  // namespace resnetc
