// Winograd's F(m x m, 3 x 3) on a device (see conv2d_winograd.cpp), as one kernel: a block of threads has `tile_oc`
// output channels of `tiles` tiles, counted through the rows and images of the batch. For `depth` channels at a time
// its threads transform weights and inputs into shared memory; then each thread, for one of the (m + 2)^2 places of a
// transformed tile, keeps register_oc x register_tiles sums. At the end the sums pass through shared memory to threads
// that transform them to outputs. Weights stay 3x3 in memory: transformed they would be 1.8 or 4 times as many bytes.
#include <algorithm>
#include <cmath>

#include "schedules/gpu.h"
#include "schedules/winograd_expr.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::MemoryType;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

bool applies(const KernelKey& key, const Machine& machine) {
  return suits_winograd(key, machine, {1, 1}, 4);
}

struct Shape {
  int m, oc, tiles, register_oc, register_tiles, depth;
  explicit Shape(const Choice& choice)
      : m(choice["tile"]),
        oc(choice["tile_oc"]),
        tiles(choice["tiles"]),
        register_oc(choice["register_oc"]),
        register_tiles(choice["register_tiles"]),
        depth(choice["depth"]) {}
  int size() const { return m + 2; }
  int places() const { return size() * size(); }
  int across() const { return oc / register_oc; }
  int along() const { return tiles / register_tiles; }
  int threads() const { return across() * along() * places(); }
  int sums() const { return register_oc * register_tiles; }
  int own_tiles() const { return std::min(4, register_tiles); }  // side by side
  // Floats of shared memory from one place to the next: what the threads of a warp use at once, of several places, is
  // then in different banks.
  int weight_stride() const { return stride_of_banks(oc * depth, 4 * across()); }
  int input_stride() const { return stride_of_banks(tiles * depth, own_tiles() * along()); }
  int share_stride() const { return stride_of_banks(oc * tiles, 4 * across() * along()); }
  int64_t shared_bytes() const {
    return 4 * places() * shared_bytes_in_turn(weight_stride(), input_stride(), share_stride());
  }
  // Channels whose outputs a thread transforms together: as many as leave one such item to each thread.
  int output_channels() const {
    int width = m == 2 ? 4 : 2;  // of 4x4 outputs and 4 channels the sums are more than the registers
    while (width > 1 && oc * tiles / width < threads() / 2) width /= 2;
    return width;
  }
};

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Shape s(choice);
  // Additions and multiplications of one transform, and its stores to shared memory.
  const double input = s.m == 2 ? 48 : 180, weight = s.m == 2 ? 44 : 110, output = s.m == 2 ? 40 : 160;
  const double products = static_cast<double>(s.oc) * s.tiles * s.places() * g.ic;
  GpuBlock block;
  block.threads = s.threads();
  block.sums = s.sums();
  block.registers = s.m == 2 ? 48 + 1.6 * s.sums() : 90 + 1.22 * s.sums();
  if (g.ow % s.m != 0 || g.oh % s.m != 0) block.registers += 40;  // more addresses, and outputs that are not stored
  block.shared_bytes = static_cast<double>(s.shared_bytes());
  block.stages = static_cast<double>(g.ic) / s.depth + 2;
  block.ahead = true;
  // Of a sector two stages of four channels read a half each.
  block.loaded_floats = (9.0 * s.oc + s.places() * s.tiles * (s.depth % 8 == 0 ? 1.0 : 2.0)) * g.ic;
  block.staged_floats = static_cast<double>(s.oc + s.tiles) * s.places() * g.ic;
  block.multiply_adds = products + g.ic * (s.tiles * input + s.oc * weight) + s.oc * s.tiles * output;
  block.shared_reads = products * (1.0 / s.register_oc + 1.0 / s.register_tiles);
  const double image_tiles = static_cast<double>(blocks(g.ow, s.m)) * blocks(g.oh, s.m);
  const double gpu_blocks = blocks(g.oc, s.oc) * std::ceil(machine.batch * image_tiles / s.tiles) / machine.batch;
  return gpu_cycles(gpu_blocks, block, operand_bytes(key, machine.batch), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  std::vector<Choice> result;
  const auto consider = [&](int m, int oc, int tiles, int register_oc, int register_tiles, int depth) {
    const Choice choice{"gpu_conv2d_winograd",
                        {{"tile", m},
                         {"tile_oc", oc},
                         {"tiles", tiles},
                         {"register_oc", register_oc},
                         {"register_tiles", register_tiles},
                         {"depth", depth}}};
    const Shape s(choice);
    if (m > machine.largest_winograd || (oc > 16 && oc / 2 >= round_up(g.oc, gpu_block_channels))) return;
    if (s.threads() < 32 || s.threads() > most_gpu_threads(machine, s.sums())) return;
    if (g.ic % depth != 0 || s.shared_bytes() > machine.device_shared_bytes) return;
    // Halide 21 ends with "Repeated name" where not all channels of a tile are stored and tiles overrun one side alone.
    if (g.oc % oc != 0 && (g.ow % m != 0) != (g.oh % m != 0)) return;
    result.push_back(choice);
  };
  for (int m : {2, 4})
    for (int oc : {16, 32, 64})
      for (int tiles : {8, 16, 32})
        for (int register_oc : {4, 8})
          for (int register_tiles : {2, 4, 8})
            for (int depth : {4, 8}) consider(m, oc, tiles, register_oc, register_tiles, depth);
  return ranked(result, key, machine, cycles);
}

// The place of a tile's place-th column or row, where the tile begins at `begin`, the last one at `last_begin`. Those
// of the last tile that lie beyond `last` are moved back together, so that all have few addresses: one each would take
// more registers than the sums.
Expr within(const Expr& begin, int last_begin, int place, int size, int first, int last) {
  const int inside = std::min(size, last - last_begin + 1), beyond = size - inside;
  if (place < inside) return begin + place;
  if (last - beyond + 1 < first) return Halide::min(begin + place, last);
  return Halide::min(begin + inside, last - beyond + 1) + (place - inside);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  Conv2dOperands operands(key, g);
  const Shape s(choice);
  const int size = s.size(), across = blocks(g.ow, s.m), down = blocks(g.oh, s.m), image_tiles = across * down;
  const Expr images = operands.input.dim(3).extent(), tiles = images * image_tiles;
  const bool whole = g.oc % s.oc == 0;

  // In shared memory a channel or a tile and the input channel (e), a channel and the tile, are one dimension each, so
  // that places can be apart by any stride.
  Var c("c"), x("x"), y("y"), n("n"), t("t"), b("b"), e("e"), oc_tile("oc_tile"), p("p"), i("i"), stage("stage");
  Func input_half("input_half"), input("input_transformed"), weight_half("weight_half"), weight("weight_transformed"),
      sum("sum"), shares("shares"), output_half("output_half"), result("result");

  // The t-th tile of block b. Those of the last block beyond all tiles do the last one again.
  const auto tile = [&](const Expr& of_block, const Expr& of_tile) {
    return Halide::min(of_block * s.tiles + of_tile, tiles - 1);
  };
  const Expr own = tile(b, e % s.tiles), in_image = remainder(own, image_tiles),
             own_n = quotient(own, image_tiles, images - 1);
  const Expr left = remainder(in_image, across) * s.m - g.conv.padding.left,
             top = quotient(in_image, across, down - 1) * s.m - g.conv.padding.top;
  // The last tiles of a row and a column reach over the border, for outputs that are not stored.
  const Expr channel = stage * s.depth + e / s.tiles;
  const int last_column = g.input.width() + g.input.border.right - 1,
            last_row = g.input.height() + g.input.border.bottom - 1;
  const auto pixel = [&](int column, const Expr& row_of_tile) {
    const auto row = [&](int of_tile) {
      return within(top, (down - 1) * s.m - g.conv.padding.top, of_tile, size, -g.input.border.top, last_row);
    };
    return operands.input(
        channel,
        within(left, (across - 1) * s.m - g.conv.padding.left, column, size, -g.input.border.left, last_column),
        Halide::mux(row_of_tile, along(size, row)), own_n);
  };
  input_half(p, i, e, stage, b) =
      transformed(winograd_input, s.m, size, p, [&](int column) { return pixel(column, i); });
  input(e, p, stage, b) =
      transformed(winograd_input, s.m, size, p / size, [&](int row) { return input_half(p % size, row, e, stage, b); });
  weight_half(p, i, e, oc_tile, stage) = transformed(winograd_weight, s.m, 3, p, [&](int column) {
    const Expr own_oc = oc_tile * s.oc + e % s.oc;
    return operands.weight(own_oc % g.block, stage * s.depth + e / s.oc, column, i, weight_block(g, own_oc, s.oc));
  });
  weight(e, p, oc_tile, stage) = transformed(winograd_weight, s.m, 3, p / size,
                                             [&](int row) { return weight_half(p % size, row, e, oc_tile, stage); });
  Halide::RDom r(0, s.depth, 0, g.ic / s.depth, "r");
  sum(c, t, p, oc_tile, b) = 0.0f;
  sum(c, t, p, oc_tile, b) += input(t + s.tiles * r.x, p, r.y, b) * weight(c + s.oc * r.x, p, oc_tile, r.y);
  shares(e, p, oc_tile, b) = sum(e % s.oc, e / s.oc, p, oc_tile, b);
  output_half(c, i, p, t, b) = transformed(winograd_output, s.m, size, i, [&](int column) {
    return shares(c % s.oc + s.oc * t, p * size + column, c / s.oc, b);
  });

  Halide::RDom q(0, s.m, 0, s.m, 0, s.tiles, 0, (tiles + s.tiles - 1) / s.tiles, "q");
  const Expr done = tile(q.w, q.z), of_image = remainder(done, image_tiles),
             x_of_tile = remainder(of_image, across) * s.m + q.x,
             y_of_tile = quotient(of_image, across, down - 1) * s.m + q.y,
             n_done = quotient(done, image_tiles, images - 1);
  if (g.ow % s.m != 0) q.where(x_of_tile < g.ow);
  if (g.oh % s.m != 0) q.where(y_of_tile < g.oh);
  const Expr x_done = Halide::unsafe_promise_clamped(x_of_tile, 0, g.ow - 1),
             y_done = Halide::unsafe_promise_clamped(y_of_tile, 0, g.oh - 1);
  Expr total =
      transformed(winograd_output, s.m, size, q.y, [&](int row) { return output_half(c, q.x, row, q.z, q.w); });
  if (g.has_bias) total += first_sum(g, operands, c, s.oc);
  result(c, x, y, n) = Halide::undef<float>();
  result(c, x_done, y_done, n_done) = apply_epilogue(key, operands, total, c, x_done, y_done, n_done, Expr(), 1);

  bound_bordered_result(result, key.result);
  result.bound(c, 0, g.oc);
  // The items of the output transform, some channels of a tile, are shared among all threads.
  Var c_tile("c_tile"), c_own("c_own"), c_thread("c_thread"), four("four"), t_own("t_own"), t_thread("t_thread"),
      t_side("t_side"), lane("lane");
  RVar item("item"), step("step"), block("block"), item_x("item_x"), item_y("item_y"), item_z("item_z");
  const int width = whole ? s.output_channels() : 1;
  Halide::Stage store = result.update();
  store.allow_race_conditions();
  store.split(c, c_tile, c, s.oc, whole ? TailStrategy::RoundUp : TailStrategy::GuardWithIf)
      .split(c, c, lane, width)
      .reorder(lane, q.x, q.y, c, q.z, c_tile, q.w)
      .fuse(c, q.z, item)
      .split(item, item, step, blocks(s.oc * s.tiles / width, s.threads()), TailStrategy::GuardWithIf)
      .split(item, item, item_x, s.across(), TailStrategy::GuardWithIf)
      .split(item, item_z, item_y, s.along(), TailStrategy::GuardWithIf)
      .fuse(c_tile, q.w, block)
      .gpu_blocks(block)
      .gpu_threads(item_x, item_y, item_z)
      .vectorize(lane)
      .unroll(q.x)
      .unroll(q.y)
      .unroll(step);
  output_half.compute_at(result, step)
      .store_in(MemoryType::Register)
      .bound_extent(i, s.m)
      .bound_extent(p, size)
      .bound_extent(c, width)
      .reorder(c, i, p, t, b)
      .vectorize(c)
      .unroll(i)
      .unroll(p);

  // Of its tiles a thread has some side by side; the next ones lie behind those of all others.
  const auto own_sums = [&](auto&& of) {
    of.split(t, t_own, t_thread, s.own_tiles() * s.along()).split(t_thread, t_thread, t_side, s.own_tiles());
    split_channels_by_fours(of, c, c_own, c_thread, four, s.across());
  };
  sum.compute_at(result, block)
      .store_in(MemoryType::Register)
      .bound_extent(c, s.oc)
      .bound_extent(t, s.tiles)
      .bound_extent(p, s.places())
      .bound_extent(oc_tile, 1)
      .bound_extent(b, 1);
  own_sums(sum);
  sum.reorder(four, c_own, t_side, t_own, c_thread, t_thread, p, oc_tile, b)
      .gpu_threads(c_thread, t_thread, p)
      .unroll(four)
      .unroll(c_own)
      .unroll(t_side)
      .unroll(t_own);
  Halide::Stage adding = sum.update();
  own_sums(adding);
  adding.reorder(four, c_own, t_side, t_own, r.x, c_thread, t_thread, p, r.y, oc_tile, b)
      .gpu_threads(c_thread, t_thread, p)
      .unroll(four)
      .unroll(c_own)
      .unroll(t_side)
      .unroll(t_own)
      .unroll(r.x);
  shares.compute_at(result, block)
      .store_in(MemoryType::GPUShared)
      .bound_extent(e, s.oc * s.tiles)
      .align_storage(e, s.share_stride())
      .bound_extent(p, s.places())
      .bound_extent(oc_tile, 1)
      .bound_extent(b, 1)
      .split(e, t, c, s.oc);
  own_sums(shares);
  shares.reorder(four, c_own, t_side, t_own, c_thread, t_thread, p, oc_tile, b)
      .gpu_threads(c_thread, t_thread, p)
      .vectorize(four)
      .unroll(c_own)
      .unroll(t_side)
      .unroll(t_own);

  // A thread transforms all places of one input channel of a tile, or of one weight. Neighbours have neighbouring input
  // channels and output channels, as they lie in memory.
  Var f("f"), f_step("f_step"), k("k");
  const auto share = [&](Func& staged, const Var& items, int extent, int stride, Func& half, int half_rows) {
    staged.compute_at(sum, r.y)
        .store_in(MemoryType::GPUShared)
        .bound_extent(e, extent * s.depth)
        .align_storage(e, stride)
        .bound_extent(p, s.places());
    share_among_threads(staged, items, p, f_step, s.across(), s.along(), s.places());
    staged.unroll(p);
    half.compute_at(staged, f_step)
        .store_in(MemoryType::Register)
        .bound_extent(p, size)
        .bound_extent(i, half_rows)
        .unroll(p)
        .unroll(i);
  };
  input.split(e, k, t, s.tiles).fuse(k, t, f);
  share(input, f, s.tiles, s.input_stride(), input_half, size);
  share(weight, e, s.oc, s.weight_stride(), weight_half, 3);

  align_operands(operands, result);
  KernelPipeline kernel{Halide::Pipeline(result), operands.arguments};
  kernel.passes = keep_sums_in_registers(kernel.pipeline, sum.name());
  kernel.passes += stage_ahead(kernel.pipeline);
  return kernel;
}

}  // namespace

const Strategy gpu_conv2d_winograd = {"gpu_conv2d_winograd", applies, choices, build, pack_gpu_conv2d, cycles, 2};

}  // namespace resnetc
