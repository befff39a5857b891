// Winograd's minimal filtering F(m x m, 3 x 3) for 3x3 convolutions of stride 1: with t = (m + 2)^2 transformed values
// a tile, an output tile of m x m pixels is t products for each pair of channels, where direct summation takes 9 m^2:
// 2.25 times fewer for m = 2, 4 for m = 4, 4.59 for m = 5, 5.06 for m = 6. Summed over input channels that is t small
// matrix products. winograd_transforms.h has the transforms and the bound on the error.
//
// Where tiles reach over the right or lower edge, their last products are left out (winograd_spared): of 16 tiles of an
// image of 14x14 pixels, m = 4, 92 of 576; of nine tiles, m = 5, 41 of 441. With weights in registers a register tile
// that is spared a row of values does not transform that row's weights either. Granite Rapids, two threads, 256
// channels, never kept: 0.379 -> 0.343 ms.
//
// Two orders. Shared: inputs are transformed once, for all channel blocks; then each task takes a block of output
// channels. Apart: each task takes a strip of tile rows and a group of channel blocks, from transforming its input to
// its outputs. Transforming a strip once for each group costs less than to read what another core has transformed: on
// Zen 5, whose cores hand over 40 GB/s if they do not share a third-level cache, 28x28x128 on two threads 0.34 ms
// shared.
//
// Weights are stored transformed where that is small. Otherwise they stay 3x3 in the file and in memory, for in a net
// they come from memory: each task transforms those of its channel block, a part of the input channels at a time, into
// a buffer that stays in its second-level cache, so that each weight is read once. Or all of its channel blocks, once
// for several strips and for all images (task_strips): strips may then be so small that their transformed inputs and
// sums stay in the cache beside the weights. Or weights are never kept: a register tile takes one row of m + 2
// transformed values of a few tiles, and transforms the weights of that row from 3x3 just before it multiplies. That is
// 72 operations more for each (m + 2)^2 products of so many tiles, and no store: writing t = 36 values takes 150 cycles
// where the buffer lies in the second-level cache of an Intel core (4.2 a line). Or a part of a row of more tiles, half
// of it or three of seven values, with fewer of the operations for the same products, where there are so many tiles.
#include <algorithm>

#include "schedules/conv2d_geometry.h"
#include "schedules/prefetch_weights.h"
#include "schedules/winograd_candidates.h"
#include "schedules/winograd_expr.h"
#include "schedules/winograd_shape.h"
#include "schedules/winograd_weights.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;
using Shape = WinogradShape;

// The stages of a kernel, in the order in which values pass through them, and how they are scheduled.
struct Stages {
  Stages(const KernelKey& of, const Choice& choice, const Machine& for_machine)
      : key(of),
        machine(for_machine),
        s(of, choice, for_machine),
        g(s.g),
        m(s.m),
        size(s.size()),
        parts(g.ic / s.part),
        operands(of, g, s.weight_layout()),
        r(0, s.part, "r"),
        all(0, parts, "all") {}

  const KernelKey& key;
  const Machine& machine;
  const Shape s;
  const Conv2dGeometry& g;
  const int m, size, parts;
  const Conv2dOperands operands;

  Var c{"c"}, x{"x"}, y{"y"}, n{"n"}, t{"t"}, i{"i"}, j{"j"}, k{"k"}, b{"b"}, channel{"channel"};
  Var block{"block"}, group{"group"}, lane{"lane"}, xo{"xo"}, yo{"yo"}, xi{"xi"}, yi{"yi"}, strip{"strip"},
      of_task{"of_task"}, row{"row"}, task{"task"}, to{"to"}, ti{"ti"}, jo{"jo"};
  Func half{"half"}, input{"input_transformed"}, weight_half{"weight_half"}, weight{"weight_transformed"},
      weight_kept{"weight_kept"}, product{"product"}, sum{"sum"}, rows{"rows"}, result{"result"};
  Halide::RDom r, all;

  Expr in_last_column() const { return t % s.across == s.across - 1; }
  Expr in_last_row() const { return t / s.across == s.down - 1; }

  // What the transform of inputs takes along an axis, so that the products are zero which the last tile is spared.
  template <class At>
  auto spared_beyond(const Expr& last, int spared, const At& at) const {
    return [=, this](int d) -> Expr {
      return spared == 2 && d == m ? Halide::select(last, winograd_beyond(m, along(m, at)), at(d)) : at(d);
    };
  }

  void transform_inputs() {
    // Tiles that overrun the image read the border's zeros, or the last pixel where there is no border: what it adds to
    // pixels inside cancels only in exact arithmetic, so that it must not be larger than its neighbours.
    const Sides& border = g.input.border;
    const auto pixel = [&](int dx, int dy) {
      return operands.input(
          c, Halide::min(t % s.across * m + dx - g.conv.padding.left, g.input.width() + border.right - 1),
          Halide::min(t / s.across * m + dy - g.conv.padding.top, g.input.height() + border.bottom - 1), n);
    };
    half(c, t, j, i, n) =
        Halide::mux(j, along(size, [&](int dx) {
                      const auto pixel_of_column = [&](int dy) { return pixel(dx, dy); };
                      return transformed(winograd_input, m, size, i,
                                         spared_beyond(in_last_row(), s.spared_rows(), pixel_of_column));
                    }));
    const auto half_of_row = [&](int dx) { return Expr(half(c, t, dx, i, n)); };
    input(c, t, j, i, n) =
        transformed(winograd_input, m, size, j, spared_beyond(in_last_column(), s.spared_columns(), half_of_row));
  }

  void transform_weights() {
    if (s.stored) {
      weight(c, channel, j, i) = operands.weight(c % g.block, channel, i * size + j, c / g.block);
      return;
    }
    // Weights that are kept for a task lie block by block, each as it is read.
    const bool kept = s.kept_for_task();
    const Expr lane_of_block = kept ? Expr(c) : c % g.block, of_block = kept ? Expr(b) : c / g.block;
    const auto at = [&](const Expr& column) {
      std::vector<Expr> place = {c, channel, column, i};
      if (kept) place.push_back(b);
      return place;
    };
    const auto tap = [&](const Expr& kx, int ky) {
      if (s.in_registers) return operands.weight(lane_of_block, ky * 3 + kx, channel, of_block);
      return operands.weight(lane_of_block, channel, kx, ky, of_block);
    };
    std::vector<Var> place = {c, channel, j, i};
    if (kept) place.push_back(b);
    weight_half(place) = transformed(winograd_weight, m, 3, i, [&](int ky) { return tap(j, ky); });
    const Expr value = transformed(winograd_weight, m, 3, j, [&](int kx) { return weight_half(at(kx)); });
    if (kept) {
      weight_kept(place) = value;
      weight(c, channel, j, i) = weight_kept(c % g.block, channel, j, i, c / g.block);
    } else {
      weight(place) = value;
    }
  }

  void multiply() {
    if (s.spared_columns() > 0) r.where(!in_last_column() || j < size - s.spared_columns());
    if (s.spared_rows() > 0) r.where(!in_last_row() || i < size - s.spared_rows());
    product(c, t, j, i, n, k) = 0.0f;
    product(c, t, j, i, n, k) += input(k * s.part + r, t, j, i, n) * weight(c, k * s.part + r, j, i);
    if (parts == 1) {
      sum(c, t, j, i, n) = product(c, t, j, i, n, 0);
    } else {
      sum(c, t, j, i, n) = 0.0f;
      sum(c, t, j, i, n) += product(c, t, j, i, n, all);
    }
  }

  void transform_outputs() {
    rows(c, t, j, y, n) = transformed(winograd_output, m, size, y, [&](int of) { return sum(c, t, j, of, n); });
    const Expr value = transformed(winograd_output, m, size, x % m,
                                   [&](int column) { return rows(c, y / m * s.across + x / m, column, y % m, n); });
    result(c, x, y, n) =
        apply_epilogue(key, operands, g.has_bias ? value + operands.bias(c) : value, c, x, y, n, Expr(), machine.lanes);
  }

  void schedule_result() {
    bound_result(result, key.result);
    const auto tail = Halide::TailStrategy::GuardWithIf;
    result.bound(c, 0, g.oc).bound(x, 0, g.ow).bound(y, 0, g.oh);
    result.split(c, block, lane, g.block, tail).tile(x, y, xo, yo, xi, yi, m, m, tail);
    result.split(yo, strip, row, s.tile_rows, tail);
    if (s.groups > 0) {
      result.split(block, group, block, g.block_count / s.groups, Halide::TailStrategy::RoundUp);
      if (s.kept_for_task()) {
        result.split(strip, strip, of_task, s.task_strips, tail);
        result.reorder(xi, yi, lane, xo, row, block, of_task, n, strip, group);
      } else {
        result.reorder(xi, yi, lane, xo, row, block, strip, group, n);
      }
      result.fuse(strip, group, task);
      if (s.tasks_of_group() * s.groups > 1) result.parallel(task);
    } else {
      result.reorder(xi, yi, lane, xo, row, strip, block, n);
      if (g.block_count > 1) result.parallel(block);
    }
    result.vectorize(lane, machine.lanes, tail).unroll(xi).unroll(yi);
    // Halide does not see that pixels of one tile divided by m are one number for every m.
    rows.compute_at(result, lane)
        .bound_extent(c, machine.lanes)
        .bound_extent(t, 1)
        .bound_extent(j, size)
        .bound_extent(y, m)
        .reorder(y, j, c, t)
        .vectorize(c, machine.lanes, Halide::TailStrategy::RoundUp)
        .unroll(y)
        .unroll(j);
  }

  void schedule_inputs() {
    // The elements of a transform are written side by side, a plane each. Planes that lay about a multiple of 4 KiB
    // apart would fall into one set of the first-level cache, so a dimension that makes one up is padded.
    int tiles_together = round_up(s.groups > 0 ? s.tile_rows * s.across : s.down * s.across, s.pixels);
    // So many tiles would make it a multiple however many channels there are.
    if (4 * machine.lanes * tiles_together % 4096 == 0) input.align_storage(t, ++tiles_together);
    int channels = g.ic + machine.lanes;
    while (std::abs((4 * channels * tiles_together + 2048) % 4096 - 2048) < 256) channels += machine.lanes;
    input.align_storage(c, channels);
    sum.align_storage(t, s.register_tiles() * s.pixels + 1);
    input.reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
    half.compute_at(input, c).reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
    if (s.groups > 0) {
      input.compute_at(result, s.kept_for_task() ? of_task : task);
      // The last strip is computed whole, so that the sizes of all buffers are known when compiling.
      const int tiles = s.register_tiles() * s.pixels;
      input.bound_extent(t, tiles);
      sum.bound_extent(t, tiles);
    } else {
      input.compute_at(result, n).parallel(t);
    }
  }

  void schedule_products() {
    // Of weights in registers a tile takes a row of values, all j, or a part of them, else it takes one value.
    const auto products = [&](Halide::Stage stage) {
      stage.split(t, to, ti, s.pixels, Halide::TailStrategy::RoundUp).vectorize(c, machine.lanes).unroll(c).unroll(ti);
      std::vector<Halide::VarOrRVar> order = {c, ti, to, j, i};
      if (s.in_registers) {
        stage.split(j, jo, j, s.values_of_part(), Halide::TailStrategy::GuardWithIf);
        order = {c, ti, j, to, jo, i};
      }
      if (parts > 1) order.push_back(all.x);
      stage.reorder(order);
      if (s.in_registers) stage.unroll(j).unroll(jo).unroll(i);
    };
    if (parts == 1) {
      sum.compute_at(result, s.groups > 0 ? block : strip).bound_extent(c, g.block);
      products(sum);
    } else {
      sum.compute_at(result, block).bound_extent(c, g.block).vectorize(c, machine.lanes);
      products(sum.update());
    }
    product.compute_at(sum, to)
        .store_in(Halide::MemoryType::Register)
        .bound_extent(c, g.block)
        .vectorize(c, machine.lanes)
        .unroll(c)
        .unroll(t);
    product.update().reorder(c, t, j, r).vectorize(c, machine.lanes).unroll(c).unroll(t);
  }

  void schedule_weights() {
    if (s.in_registers) {
      product.unroll(j).update().unroll(j);
      weight.compute_at(product, r).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
      weight.reorder(c, j).vectorize(c, machine.lanes).unroll(c).unroll(j);
      weight_half.compute_at(product, r).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
      weight_half.reorder(c, j).vectorize(c, machine.lanes).unroll(c).unroll(j);
    } else if (!s.stored) {
      Func& kept = s.kept_for_task() ? weight_kept : weight;
      kept.align_storage(channel, s.part + 1);
      if (parts > 1) {
        kept.compute_at(sum, all);
      } else {
        kept.compute_at(result, s.kept_for_task() ? task : block);
      }
      kept.bound_extent(c, g.block).reorder(j, i, c, channel).vectorize(c, machine.lanes).unroll(j).unroll(i);
      // Two vectors or two input channels together where they lie in one, so that which half is known when compiling.
      Var half_of_lane("half_of_lane");
      const bool pairs_vectors = g.weight_layout().pairs_vectors();
      if (pairs_vectors) kept.split(c, c, half_of_lane, 2).unroll(half_of_lane);
      if (g.weight_layout().pairs_input_channels() && s.part % 2 == 0) kept.unroll(channel, 2);
      weight_half.compute_at(kept, pairs_vectors ? half_of_lane : c)
          .reorder(j, i, c, channel)
          .vectorize(c, machine.lanes)
          .unroll(j)
          .unroll(i);
    }
  }

  // During the products of a part of the input channels the weights of the next part; with the last the first part of
  // the next block, for a thread's tasks follow each other.
  WeightPrefetch prefetch() const {
    const int part_lines = (s.in_registers ? s.lanes_of_taps(s.part) : g.lanes_of_channels(s.part)) / floats_of_line,
              plane = parts * part_lines;
    const auto line = [part_lines, plane, of_part = all.x.name(), parts = parts, in_registers = s.in_registers,
                       blocks_of_task = g.block_count / std::max(s.groups, 1)](const LoopValue& loop, const Expr& nth) {
      const Expr next = loop(of_part) + 1;
      const Expr next_block = loop(".task") * blocks_of_task + loop(".block") + Halide::select(next == parts, 1, 0);
      if (in_registers) return next_block * plane + next % parts * part_lines + nth;
      return (next_block * 9 + nth / part_lines) * plane + next % parts * part_lines + nth % part_lines;
    };
    WeightPrefetch prefetch{parts == 1 ? ".block" : all.x.name(), ".to", 9 * part_lines, line};
    if (s.in_registers)
      prefetch.place = product.name() + ".s1.", prefetch.copies = size * s.row_parts, prefetch.lines = part_lines;
    return prefetch;
  }
};

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  Stages stages(key, choice, machine);
  stages.transform_inputs();
  stages.transform_weights();
  stages.multiply();
  stages.transform_outputs();
  stages.schedule_result();
  stages.schedule_inputs();
  stages.schedule_products();
  stages.schedule_weights();
  KernelPipeline kernel{Halide::Pipeline(stages.result), stages.operands.arguments};
  if (choice["prefetch"] != 0) kernel.passes = prefetch_weights(kernel.pipeline, stages.prefetch());
  return kernel;
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  const Shape s(key, choice, machine);
  if (operand == 2 || (!s.stored && !s.in_registers)) return s.g.pack(operand, values);
  const std::vector<float> plain = s.g.in_blocks(values);
  const WeightLayout layout = s.weight_layout();
  return layout.stored({layout.extent, s.stored ? transformed_weights(plain, s.m, s.g.block_count)
                                                : weights_by_channel(plain, s.g.block, s.g.block_count)});
}

}  // namespace

const Strategy conv2d_winograd = {
    "conv2d_winograd", winograd_applies, winograd_candidates, build, pack, winograd_cycles, 3,
    winograd_flop,     winograd_legal};

}  // namespace resnetc
