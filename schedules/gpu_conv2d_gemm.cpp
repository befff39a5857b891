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
  int staged() const { return depth * slices; }                             // channels at a time
  int side_by_side() const { return largest_divisor(register_pixels, 4); }  // of a thread's pixels
  int takers() const { return std::min(slices, register_pixels); }          // slices that add up and store
  // Floats of shared memory from one channel of the pixels to the next, and from one pixel of the slices' sums: what
  // neighbouring threads bring, 4 channels of two times 16 pixels, is then in different banks, and what they pass on.
  int pixel_stride() const { return pixels + (12 - pixels % 8) % 8; }
  int share_stride() const { return oc + 16 / side_by_side(); }
  int64_t shared_bytes() const {
    return 4 * shared_bytes_in_turn(int64_t{oc} * staged(), int64_t{pixel_stride()} * staged(),
                                    slices > 1 ? int64_t{share_stride()} * pixels * slices : 0);
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
  block.sums = tile.register_oc * tile.register_pixels;
  block.registers =
      32 + 1.35 * block.sums + 1.4 * static_cast<double>(tile.oc + tile.pixels) * tile.staged() / tile.threads();
  block.shared_bytes = static_cast<double>(tile.shared_bytes());
  block.stages = steps / tile.staged();
  block.ahead = true;
  // Of a sector two stages of four channels read a half each.
  block.loaded_floats = (tile.oc + tile.pixels * (tile.staged() % 8 == 0 ? 1.0 : 2.0)) * steps;
  block.staged_floats = (tile.oc + tile.pixels) * steps;
  block.multiply_adds = static_cast<double>(tile.oc) * tile.pixels * steps;
  block.shared_reads = block.multiply_adds * (1.0 / tile.register_oc + 1.0 / tile.register_pixels);
  if (tile.slices > 1) block.stages += 2, block.staged_floats += tile.oc * tile.pixels * tile.slices;
  return gpu_cycles(tiles, block, operand_bytes(key, machine.batch), machine);
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
    if (tile_pixels % 7 == 0 && pixels % tile_pixels != 0) return;  // for images of 7x7, 14x14, 28x28
    if ((oc > 16 && oc / 2 >= most_oc) || (tile_pixels > 16 && tile_pixels / 2 >= 8 * pixels)) return;
    if (tile.threads() < 32 || tile.threads() > most_gpu_threads(machine, register_oc * register_pixels)) return;
    if (g.reduction % tile.staged() != 0 || tile.shared_bytes() > machine.device_shared_bytes) return;
    if (tile_pixels % register_pixels != 0 || register_pixels % tile.takers() != 0) return;
    // Floats that a thread brings at once, in registers of its own.
    if ((tile.oc + tile.pixels) * tile.staged() > 64 * tile.threads()) return;
    result.push_back(choice);
  };
  for (int oc : {16, 32, 64, 128})
    for (int tile_pixels : {16, 28, 32, 49, 56, 64, 128})
      for (int register_oc : {4, 8})
        for (int register_pixels : {2, 4, 7, 8})
          for (int slices : {1, 2, 4, 8, 16}) {
            int last = 0;
            for (int most_depth : {4, 8, 16}) {
              const int depth = largest_divisor(g.reduction, most_depth);
              if (depth != last) consider(oc, tile_pixels, register_oc, register_pixels, depth, slices);
              last = depth;
            }
          }
  result = ranked(result, key, machine, cycles);
  // Where the estimates err, a short search still meets the tiles that serve large products well.
  const auto is_classical = [&](const Choice& choice) {
    const Tile tile(choice);
    return tile.register_oc == 8 && tile.register_pixels == 8 && tile.depth == 8 && tile.slices == 1 && tile.oc >= 64 &&
           tile.pixels >= 64 && int64_t{machine.batch} * pixels * g.oc >= 64 * tile.oc * tile.pixels;
  };
  if (!result.empty()) std::stable_partition(result.begin() + 1, result.end(), is_classical);
  return result;
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

  // A thread's pixels: some side by side, and the next ones behind those of all other threads. Once the slices have
  // passed on what they have their threads take part too, as far as there are pixels for them.
  const int side = sliced ? tile.register_pixels / tile.takers() : tile.side_by_side(),
            own = tile.register_pixels / side / tile.takers();
  Halide::RDom q(0, side, 0, own, 0, tile.along(), 0, tile.takers(), 0, (pixels + tile.pixels - 1) / tile.pixels, "q");
  const RVar q_side = q[0], q_own = q[1], q_thread = q[2], q_slice = q[3], q_tile = q[4];
  const Expr q_pixel = q_side + side * (q_thread + tile.along() * (sliced ? q_slice : q_own));
  const Expr done = pixel(q_tile, q_pixel), at = remainder(done, image_pixels), x_done = remainder(at, g.ow),
             y_done = quotient(at, g.ow, g.oh - 1), n_done = quotient(done, image_pixels, images - 1);
  Expr total = sliced ? first : Expr(sum(c, q_pixel, 0, q_tile));
  for (int slice = 0; sliced && slice < tile.slices; slice++) total += shares(c, q_pixel, slice, q_tile);
  result(c, x, y, n) = Halide::undef<float>();
  result(c, x_done, y_done, n_done) = apply_epilogue(key, operands, total, c, x_done, y_done, n_done, Expr(), 1);

  bound_bordered_result(result, key.result);
  result.bound(c, 0, g.oc);
  Var c_tile("c_tile"), c_own("c_own"), c_thread("c_thread"), four("four"), i_own("i_own"), i_thread("i_thread"),
      i_side("i_side");
  const auto own_channels = [&](auto&& of) { split_channels_by_fours(of, c, c_own, c_thread, four, tile.across()); };
  const auto own_pixels = [&](auto&& of) {
    of.split(i, i_own, i_thread, tile.side_by_side() * tile.along())
        .split(i_thread, i_thread, i_side, tile.side_by_side());
  };
  RVar block("block");
  Halide::Stage store = result.update();
  store.allow_race_conditions();
  store.split(c, c_tile, c, tile.oc, whole_tiles ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
  own_channels(store);
  store.reorder(four, c_own, q_side, q_own, c_thread, q_thread, q_slice, c_tile, q_tile)
      .fuse(c_tile, q_tile, block)
      .gpu_blocks(block)
      .gpu_threads(c_thread, q_thread, q_slice);
  store.unroll(c_own).unroll(q_side).unroll(q_own);
  if (whole_tiles) {
    store.vectorize(four);
  } else {
    store.unroll(four);
  }

  sum.compute_at(result, block)
      .store_in(MemoryType::Register)
      .bound_extent(c, tile.oc)
      .bound_extent(i, tile.pixels)
      .bound_extent(s, tile.slices);
  own_channels(sum);
  own_pixels(sum);
  sum.reorder(four, c_own, i_side, i_own, c_thread, i_thread, s, t)
      .gpu_threads(c_thread, i_thread, s)
      .unroll(four)
      .unroll(c_own)
      .unroll(i_side)
      .unroll(i_own);
  Halide::Stage adding = sum.update();
  own_channels(adding);
  own_pixels(adding);
  adding.reorder(four, c_own, i_side, i_own, r.x, c_thread, i_thread, s, r.y, t)
      .gpu_threads(c_thread, i_thread, s)
      .unroll(four)
      .unroll(c_own)
      .unroll(i_side)
      .unroll(i_own)
      .unroll(r.x);
  if (sliced) {
    shares.compute_at(result, block)
        .store_in(MemoryType::GPUShared)
        .bound_extent(c, tile.oc)
        .align_storage(c, tile.share_stride())
        .bound_extent(i, tile.pixels)
        .bound_extent(s, tile.slices);
    own_channels(shares);
    own_pixels(shares);
    shares.reorder(four, c_own, i_side, i_own, c_thread, i_thread, s, t)
        .gpu_threads(c_thread, i_thread, s)
        .vectorize(four)
        .unroll(c_own)
        .unroll(i_side)
        .unroll(i_own);
  }

  // Four channels of a pixel at a time, two neighbouring threads a sector of 32 bytes; four output channels of a
  // weight.
  Var f("f"), f_step("f_step"), lane("lane"), half("half");
  const int width = g.reduction % 4 == 0 && tile.staged() % 4 == 0 ? 4 : 1;
  const auto share = [&](Func& staged) {
    share_among_threads(staged, f, lane, f_step, tile.across(), tile.along(), tile.slices);
    staged.vectorize(lane);
  };
  image.compute_at(sum, r.y)
      .store_in(MemoryType::GPUShared)
      .bound_extent(i, tile.pixels)
      .align_storage(i, tile.pixel_stride())
      .bound_extent(k, tile.staged())
      .split(k, k, lane, width)
      .split(k, k, half, largest_divisor(tile.staged() / width, 2))
      .reorder(lane, half, i, k, stage, t)
      .fuse(half, i, f)
      .fuse(f, k, f);
  share(image);
  filter.compute_at(sum, r.y)
      .store_in(MemoryType::GPUShared)
      .bound_extent(c, tile.oc)
      .bound_extent(k, tile.staged())
      .split(c, c, lane, 4)
      .fuse(c, k, f);
  share(filter);

  align_operands(operands, result);
  KernelPipeline kernel{Halide::Pipeline(result), operands.arguments};
  kernel.passes = keep_sums_in_registers(kernel.pipeline, sum.name());
  kernel.passes += stage_ahead(kernel.pipeline);
  return kernel;
}

}  // namespace

const Strategy gpu_conv2d_gemm = {"gpu_conv2d_gemm", applies, choices, build, pack_gpu_conv2d, cycles, 3};

}  // namespace resnetc
