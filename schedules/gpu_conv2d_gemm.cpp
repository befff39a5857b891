// Convolution on a device as a matrix product: output channels by pixels of the whole batch, summed over the window and
// its channels. A block of threads has a tile of both; the inputs of its pixels and its weights are staged in shared
// memory, `slices` times `depth` channels of one tap at a time. Each thread sums `depth` of these channels, in
// register_oc x register_pixels registers; with more than one slice the threads of a tile's slices then add up what
// they have, through shared memory: so a layer with few pixels still keeps many threads busy, and its long sums are
// short. A 1x1 convolution is the plain product. Tiles span rows and images, so that small images leave no thread idle.
#include <algorithm>
#include <cmath>

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
  return conv && !pool_of(*conv) && !projection_of(*conv) && conv->groups == 1 && border_holds_padding(key);
}

struct Tile {
  int oc, pixels, register_oc, register_pixels, depth, slices;
  explicit Tile(const Choice& choice)
      : oc(choice["tile_oc"]),
        pixels(choice["tile_pixels"]),
        register_oc(choice["register_oc"]),
        register_pixels(choice["register_pixels"]),
        depth(choice["depth"]),
        slices(choice["slices"]) {}
  int across() const { return oc / register_oc; }
  int along() const { return pixels / register_pixels; }
  int threads() const { return across() * along() * slices; }
  int staged() const { return depth * slices; }  // channels at a time
  int64_t shared_bytes() const {
    return 4 * shared_bytes_in_turn(int64_t{oc} * staged(), int64_t{pixels} * staged(),
                                    slices > 1 ? int64_t{oc} * pixels * slices : 0);
  }
};

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Tile tile(choice);
  const double steps = static_cast<double>(g.reduction) * g.kh * g.kw;
  const double tiles =
      blocks(g.oc, tile.oc) * std::ceil(static_cast<double>(machine.batch) * g.oh * g.ow / tile.pixels) / machine.batch;
  GpuBlock block;
  block.threads = tile.threads();
  block.registers = 35 + 2.2 * tile.register_oc * tile.register_pixels;
  block.shared_bytes = static_cast<double>(tile.shared_bytes());
  block.stages = steps / tile.staged();
  block.staged_floats = (tile.oc + tile.pixels) * steps;
  block.multiply_adds = static_cast<double>(tile.oc) * tile.pixels * steps;
  block.shared_reads = block.multiply_adds * (1.0 / tile.register_oc + 1.0 / tile.register_pixels);
  if (tile.slices > 1) block.stages += 2, block.staged_floats += tile.oc * tile.pixels * tile.slices;
  return gpu_cycles(tiles, block, operand_bytes(key), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const int most_oc = round_up(g.oc, gpu_block_channels), pixels = g.oh * g.ow;
  std::vector<Choice> result;
  const auto consider = [&](int oc, int tile_pixels, int register_oc, int register_pixels, int depth, int slices) {
    const Choice choice{"gpu_conv2d_gemm",
                        {{"tile_oc", oc},
                         {"tile_pixels", tile_pixels},
                         {"register_oc", register_oc},
                         {"register_pixels", register_pixels},
                         {"depth", depth},
                         {"slices", slices}}};
    const Tile tile(choice);
    // More than one tile that is larger than all there is would only compute what is thrown away.
    if ((oc > 16 && oc / 2 >= most_oc) || (tile_pixels > 16 && tile_pixels / 2 >= 8 * pixels)) return;
    if (tile.threads() < 32 || tile.threads() > most_gpu_threads(machine, register_oc * register_pixels)) return;
    if (g.reduction % tile.staged() != 0 || tile.shared_bytes() > machine.device_shared_bytes) return;
    if (slices > 1 && tile.register_pixels % std::min(slices, tile.register_pixels) != 0) return;
    // Floats that a thread brings at once, in registers of its own.
    if ((tile.oc + tile.pixels) * tile.staged() > 64 * tile.threads()) return;
    result.push_back(choice);
  };
  for (int oc : {16, 32, 64, 128})
    for (int tile_pixels : {16, 32, 64, 128})
      for (int register_oc : {4, 8})
        for (int register_pixels : {2, 4, 8})
          for (int slices : {1, 2, 4, 8, 16}) {
            int last = 0;
            for (int most_depth : {4, 8, 16}) {
              const int depth = largest_divisor(g.reduction, most_depth);
              if (depth != last) consider(oc, tile_pixels, register_oc, register_pixels, depth, slices);
              last = depth;
            }
          }
  return ranked(result, key, machine, cycles);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  Conv2dOperands operands(key, g);
  const Tile tile(choice);
  const int image_pixels = g.oh * g.ow;
  const Expr images = operands.input.dim(3).extent(), pixels = images * image_pixels;
  // Threads of the last tile that have no pixel of their own do the last one again.
  const auto pixel = [&](const Expr& tile_index, const Expr& within) {
    return Halide::min(tile_index * tile.pixels + within, pixels - 1);
  };
  const bool whole_tiles = g.oc % tile.oc == 0;

  Var c("c"), x("x"), y("y"), n("n"), i("i"), s("s"), t("t"), k("k"), stage("stage");
  Func image("image"), filter("filter"), sum("sum"), shares("shares"), result("result");
  // One loop over all stages, those of a tap one after the other; k counts within a stage.
  const int tap_stages = g.reduction / tile.staged(), taps = g.kw * g.kh;
  const Expr tap = taps == 1 ? Expr(0) : quotient(stage, tap_stages, taps - 1), kx = remainder(tap, g.kw),
             ky = quotient(tap, g.kw, g.kh - 1),
             channel = (taps == 1 ? Expr(stage) : remainder(stage, tap_stages)) * tile.staged() + k;
  const Expr p = pixel(t, i), in_image = remainder(p, image_pixels);
  image(i, k, stage, t) = operands.input(
      channel, remainder(in_image, g.ow) * g.conv.stride.w - g.conv.padding.left + kx * g.conv.dilation.w,
      quotient(in_image, g.ow, g.oh - 1) * g.conv.stride.h - g.conv.padding.top + ky * g.conv.dilation.h,
      quotient(p, image_pixels, images - 1));
  filter(c, k, stage) = operands.weight(c % g.block, channel, kx, ky, weight_block(g, c, tile.oc));
  Halide::RDom r(0, tile.depth, 0, tap_stages * taps, "r");
  const bool sliced = tile.slices > 1;
  const Expr first = first_sum(g, operands, c, tile.oc);
  sum(c, i, s, t) = sliced ? Expr(0.0f) : first;
  sum(c, i, s, t) += image(i, s * tile.depth + r.x, r.y, t) * filter(c, s * tile.depth + r.x, r.y);
  shares(c, i, s, t) = sum(c, i, s, t);

  Halide::RDom q(0, tile.pixels, 0, (pixels + tile.pixels - 1) / tile.pixels, "q");
  const Expr done = pixel(q.y, q.x), at = remainder(done, image_pixels), x_done = remainder(at, g.ow),
             y_done = quotient(at, g.ow, g.oh - 1), n_done = quotient(done, image_pixels, images - 1);
  Expr total = sliced ? first : Expr(sum(c, q.x, 0, q.y));
  for (int slice = 0; sliced && slice < tile.slices; slice++) total += shares(c, q.x, slice, q.y);
  result(c, x, y, n) = Halide::undef<float>();
  result(c, x_done, y_done, n_done) = apply_epilogue(key, operands, total, c, x_done, y_done, n_done, Expr(), 1);

  bound_bordered_result(result, key.result);
  result.bound(c, 0, g.oc);
  // Four neighbouring channels are a thread's; its next four lie behind those of all other threads.
  Var c_tile("c_tile"), c_own("c_own"), c_thread("c_thread"), four("four"), i_thread("i_thread"), i_own("i_own");
  RVar q_thread("q_thread"), q_own("q_own"), q_slice("q_slice");
  const auto own_channels = [&](auto&& of) {
    of.split(c, c_own, c_thread, 4 * tile.across()).split(c_thread, c_thread, four, 4);
  };
  Halide::Stage store = result.update();
  store.allow_race_conditions();
  store.split(c, c_tile, c, tile.oc, whole_tiles ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
  own_channels(store);
  if (sliced) {
    // The threads of all slices take part, as far as there are pixels for them.
    const int takers = std::min(tile.slices, tile.register_pixels);
    store.split(q.x, q_slice, q_thread, tile.pixels / takers)
        .split(q_thread, q_thread, q_own, tile.register_pixels / takers)
        .reorder(four, c_own, q_own, c_thread, q_thread, q_slice, q.y, c_tile)
        .gpu_blocks(q.y, c_tile)
        .gpu_threads(c_thread, q_thread, q_slice);
  } else {
    store.split(q.x, q_thread, q_own, tile.register_pixels)
        .reorder(four, c_own, q_own, c_thread, q_thread, q.y, c_tile)
        .gpu_blocks(q.y, c_tile)
        .gpu_threads(c_thread, q_thread);
  }
  store.unroll(c_own).unroll(q_own);
  if (whole_tiles) {
    store.vectorize(four);
  } else {
    store.unroll(four);
  }

  sum.compute_at(result, q.y)
      .store_in(MemoryType::Register)
      .bound_extent(c, tile.oc)
      .bound_extent(i, tile.pixels)
      .bound_extent(s, tile.slices)
      .split(i, i_thread, i_own, tile.register_pixels);
  own_channels(sum);
  sum.reorder(four, c_own, i_own, c_thread, i_thread, s, t)
      .gpu_threads(c_thread, i_thread, s)
      .unroll(four)
      .unroll(c_own)
      .unroll(i_own);
  Halide::Stage adding = sum.update();
  adding.split(i, i_thread, i_own, tile.register_pixels);
  own_channels(adding);
  adding.reorder(four, c_own, i_own, r.x, c_thread, i_thread, s, r.y, t)
      .gpu_threads(c_thread, i_thread, s)
      .unroll(four)
      .unroll(c_own)
      .unroll(i_own)
      .unroll(r.x);
  if (sliced) {
    shares.compute_at(result, q.y)
        .store_in(MemoryType::GPUShared)
        .bound_extent(c, tile.oc)
        .bound_extent(i, tile.pixels)
        .bound_extent(s, tile.slices)
        .split(i, i_thread, i_own, tile.register_pixels);
    own_channels(shares);
    shares.reorder(four, c_own, i_own, c_thread, i_thread, s, t)
        .gpu_threads(c_thread, i_thread, s)
        .vectorize(four)
        .unroll(c_own)
        .unroll(i_own);
  }

  // Four channels of a pixel at a time, neighbouring threads neighbouring pixels; four output channels of a weight.
  Var f("f"), f_step("f_step"), lane("lane");
  const int width = g.reduction % 4 == 0 && tile.staged() % 4 == 0 ? 4 : 1;
  const auto share = [&](Func& staged, const Var& inner, const Var& outer) {
    staged.fuse(inner, outer, f);
    share_among_threads(staged, f, lane, f_step, tile.across(), tile.along(), tile.slices);
    staged.vectorize(lane);
  };
  image.compute_at(sum, r.y)
      .store_in(MemoryType::GPUShared)
      .bound_extent(i, tile.pixels)
      .bound_extent(k, tile.staged())
      .split(k, k, lane, width)
      .reorder(lane, i, k, stage, t);
  share(image, i, k);
  filter.compute_at(sum, r.y)
      .store_in(MemoryType::GPUShared)
      .bound_extent(c, tile.oc)
      .bound_extent(k, tile.staged())
      .split(c, c, lane, 4);
  share(filter, c, k);

  align_operands(operands, result);
  KernelPipeline kernel{Halide::Pipeline(result), operands.arguments};
  kernel.passes = keep_sums_in_registers(kernel.pipeline, sum.name());
  kernel.passes += stage_ahead(kernel.pipeline);
  return kernel;
}

}  // namespace

const Strategy gpu_conv2d_gemm = {"gpu_conv2d_gemm", applies, choices, build, pack_gpu_conv2d, cycles, 2};

}  // namespace resnetc
