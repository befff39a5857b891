// Winograd's minimal filtering F(m x m, 3 x 3) for 3x3 convolutions of stride 1: with t = (m + 2)^2 transformed values
// a tile, an output tile of m x m pixels is t products for each pair of channels, where direct summation takes 9 m^2:
// 2.25 times fewer for m = 2, 4 for m = 4, 5.06 for m = 6. Summed over input channels that is t small matrix products.
// winograd_transforms.h has the transforms and the bound on the error.
//
// Two orders. Shared: inputs are transformed once, for all channel blocks; then each task takes a block of output
// channels. Apart: each task takes a strip of tile rows and a group of channel blocks, from transforming its input to
// its outputs. Transforming a strip once for each group costs less than to read what another core has transformed: on
// Zen 5, whose cores hand over 40 GB/s if they do not share a third-level cache, 28x28x128 on two threads 0.34 ms
// shared.
//
// Weights are stored transformed where that is small. Otherwise they stay 3x3 in the file and in memory, for in a net
// they come from memory: each task transforms those of its channel block, a part of the input channels at a time, into
// a buffer that stays in its second-level cache, so that each weight is read once. Or they are never kept: a register
// tile takes one row of m + 2 transformed values of a few tiles, and transforms the weights of that row from 3x3 just
// before it multiplies. That is 72 operations more for each (m + 2)^2 products of so many tiles, and no store: writing
// t = 36 values takes 150 cycles where the buffer lies in the second-level cache of an Intel core (4.2 a line). Or half
// a row of twice as many tiles, with two thirds of the operations for the same products, where there are so many tiles.
#include <algorithm>
#include <bit>
#include <set>

#include "schedules/conv2d_geometry.h"
#include "schedules/prefetch_weights.h"
#include "schedules/winograd_expr.h"
#include "schedules/winograd_shape.h"
#include "schedules/winograd_weights.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;
using Shape = WinogradShape;
using Stored = WinogradShape::Stored;
using enum WinogradShape::Stored;

bool applies(const KernelKey& key, const Machine& machine) {
  return suits_winograd(key, machine, {1, 1}, machine.lanes);
}

// Input channels whose weights, so many for each and for a block, stay in so many bytes.
int channel_part(int ic, int weights, double bytes) {
  int part = ic;
  while (part % 2 == 0 && 4.0 * part * weights > bytes) part /= 2;
  return part;
}

// Parts that stay in the second-level cache beside the input, or in the first, at the price of adding up more sums:
// where tiles are few, so that each transformed weight is used only once or twice, its way through the second-level
// cache takes longer than the products. 7x7x512 on Zen 5, two threads, weights cold: 0.48 ms and 0.41 ms.
std::set<int> channel_parts(int ic, int block, int m, Stored stored, const Machine& machine) {
  const auto level1 = static_cast<double>(machine.level1_bytes);
  if (stored == never_kept || stored == never_kept_in_halves) return {ic, channel_part(ic, 9 * block, 0.7 * level1)};
  const int weights = (m + 2) * (m + 2) * block;
  return {channel_part(ic, weights, 0.4 * static_cast<double>(machine.level2_bytes)),
          channel_part(ic, weights, level1)};
}

// Sums of a register tile and what stands beside them in registers.
int registers_of(int m, int vectors, int pixels, Stored stored, const Machine& machine) {
  if (stored == never_kept) return vectors * pixels * (m + 2) + 4;
  if (stored == never_kept_in_halves) return vectors * pixels * (m + 2) / 2 + 4;
  return vectors * (pixels + 1) + 2 + (machine.fused_multiply_add ? 0 : 1);
}

// Shared, and groups that make a task or two for each thread.
std::set<int> channel_groups(int block_count, const Machine& machine) {
  std::set<int> result = {0, 1};
  for (int wanted : {machine.threads, 2 * machine.threads})
    if (block_count % wanted == 0) result.insert(wanted);
  return result;
}

// Whether prefetch_weights finds whole cache lines and the loops that Stages::prefetch names, for one of a single
// iteration is gone: a candidate that asks for prefetching and gets none would be timed twice. Of blocks the last,
// where it overruns the channels, is taken out of a loop over all of them. A task must pass over the weights once.
bool can_prefetch(const Shape& s, int pixels) {
  if (s.stored || s.g.block >= s.g.oc || (s.groups > 0 && s.tile_rows < s.down)) return false;
  const bool whole_lines =
      s.in_registers ? s.lanes_of_taps(s.part) % floats_of_line == 0 : s.g.channels_fill_lines(s.part);
  const bool last_apart = s.groups == 1 && s.g.oc % s.g.block != 0;
  const bool next_weights = s.part < s.g.ic || s.groups == 0 || s.g.block_count / s.groups > (last_apart ? 2 : 1);
  return whole_lines && next_weights && (s.in_registers ? s.part > 1 : s.tile_rows * s.across > pixels);
}

// All places of the work in loops, for one register tile.
void add_orders(std::vector<Choice>& all, const KernelKey& key, const Conv2dGeometry& whole, const Machine& machine,
                int m, int vectors, int pixels, Stored stored) {
  const bool weights_stay = whole.bytes_as_f32() <= 0.5 * static_cast<double>(machine.level2_bytes);
  const int down = blocks(whole.oh, m), block = vectors * machine.lanes;
  const auto add = [&](int part, int rows, int groups, bool prefetch) {
    Choice choice{"conv2d_winograd",
                  {{"tile", m},
                   {"oc_vectors", vectors},
                   {"pixels", pixels},
                   {"channel_part", part},
                   {"tile_rows", rows},
                   {"channel_groups", groups},
                   {"stored", stored},
                   {"prefetch", prefetch}}};
    if (!prefetch || can_prefetch(Shape(key, choice, machine), pixels)) all.push_back(std::move(choice));
  };
  for (int part : channel_parts(whole.ic, block, m, stored, machine))
    for (int rows = 1; rows <= down; rows++) {
      // The last strip may be no more than a quarter too long.
      if (4 * (blocks(down, rows) * rows - down) > rows || (part != whole.ic && rows != down)) continue;
      for (int groups : channel_groups(blocks(whole.oc, block), machine)) {
        if (groups == 0 && down % rows != 0) continue;
        // Weights that stay in the caches need no prefetching.
        if (!weights_stay) add(part, rows, groups, true);
        add(part, rows, groups, false);
      }
    }
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  std::vector<Choice> all;
  for (int m : {4, 2, 6}) {
    if (m > machine.largest_winograd) continue;
    const int tiles = blocks(whole.ow, m) * blocks(whole.oh, m);
    for (int vectors = 1; vectors <= most_oc_vectors; vectors++) {
      const double stored_bytes = 4.0 * (m + 2) * (m + 2) * whole.ic * round_up(whole.oc, vectors * machine.lanes);
      for (Stored stored : {in_buffer, in_file, never_kept, never_kept_in_halves}) {
        // What bf16 would make of transformed weights is not what it makes of the weights.
        if (stored == in_file && whole.stored != DType::f32) continue;
        if (stored == in_file && stored_bytes > 0.5 * static_cast<double>(machine.level2_bytes)) continue;
        for (int pixels = 1; pixels <= std::min(tiles, most_tile_pixels); pixels++)
          if (registers_of(m, vectors, pixels, stored, machine) <= machine.registers)
            add_orders(all, key, whole, machine, m, vectors, pixels, stored);
      }
    }
  }
  // By tile size, order, kind of storage, place of the weights, with and without prefetching.
  return few_of_each_kind(ranked(all, key, machine, winograd_cycles), [&](const Choice& choice) {
    return std::vector<int>{choice["tile"], choice["channel_groups"] > 0, choice["stored"],
                            weights_in_level1(Shape(key, choice, machine), machine), choice["prefetch"]};
  });
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  if (!has_parameters(choice, {{"tile", 2, machine.largest_winograd},
                               {"oc_vectors", 1, most_oc_vectors},
                               {"pixels", 1, most_tile_pixels},
                               {"channel_part", 1, whole.ic},
                               {"tile_rows", 1, whole.oh},
                               {"channel_groups", 0, whole.oc},
                               {"stored", in_buffer, never_kept_in_halves},
                               {"prefetch", 0, 1}}))
    return false;
  const int m = choice["tile"], vectors = choice["oc_vectors"], pixels = choice["pixels"];
  const auto stored = static_cast<Stored>(choice["stored"]);
  if (m % 2 != 0 || registers_of(m, vectors, pixels, stored, machine) > machine.registers) return false;
  // What bf16 would make of transformed weights is not what it makes of the weights.
  if (stored == in_file && whole.stored != DType::f32) return false;
  const Shape s(key, choice, machine);
  if (pixels > s.across * s.down || s.tile_rows > s.down) return false;
  // Parts are halves of halves, of whole images; strips of all blocks of channels share no rows.
  if (whole.ic % s.part != 0 || !std::has_single_bit(static_cast<unsigned>(whole.ic / s.part))) return false;
  if (s.part != whole.ic && s.tile_rows != s.down) return false;
  if (s.groups == 0 ? s.down % s.tile_rows != 0 : s.g.block_count % s.groups != 0) return false;
  return choice["prefetch"] == 0 || can_prefetch(s, pixels);
}

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
        tile(choice["pixels"]),
        operands(of, g, s.weight_layout()),
        r(0, s.part, "r"),
        all(0, parts, "all") {}

  const KernelKey& key;
  const Machine& machine;
  const Shape s;
  const Conv2dGeometry& g;
  const int m, size, parts, tile;  // tile: tiles of a register tile
  const Conv2dOperands operands;

  Var c{"c"}, x{"x"}, y{"y"}, n{"n"}, t{"t"}, i{"i"}, j{"j"}, k{"k"}, channel{"channel"};
  Var block{"block"}, group{"group"}, lane{"lane"}, xo{"xo"}, yo{"yo"}, xi{"xi"}, yi{"yi"}, strip{"strip"}, row{"row"},
      task{"task"}, to{"to"}, ti{"ti"}, jo{"jo"};
  Func half{"half"}, input{"input_transformed"}, weight_half{"weight_half"}, weight{"weight_transformed"},
      product{"product"}, sum{"sum"}, rows{"rows"}, result{"result"};
  Halide::RDom r, all;

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
                      return transformed(winograd_input, m, size, i, [&](int dy) { return pixel(dx, dy); });
                    }));
    input(c, t, j, i, n) = transformed(winograd_input, m, size, j, [&](int dx) { return half(c, t, dx, i, n); });
  }

  void transform_weights() {
    if (s.stored) {
      weight(c, channel, j, i) = operands.weight(c % g.block, channel, i * size + j, c / g.block);
      return;
    }
    const auto tap = [&](const Expr& kx, int ky) {
      if (s.in_registers) return operands.weight(c % g.block, ky * 3 + kx, channel, c / g.block);
      return operands.weight(c % g.block, channel, kx, ky, c / g.block);
    };
    weight_half(c, channel, j, i) = transformed(winograd_weight, m, 3, i, [&](int ky) { return tap(j, ky); });
    weight(c, channel, j, i) =
        transformed(winograd_weight, m, 3, j, [&](int kx) { return weight_half(c, channel, kx, i); });
  }

  void multiply() {
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
      result.reorder(xi, yi, lane, xo, row, block, strip, group, n).fuse(strip, group, task);
      if (s.strips() * s.groups > 1) result.parallel(task);
    } else {
      result.reorder(xi, yi, lane, xo, row, strip, block, n);
      if (g.block_count > 1) result.parallel(block);
    }
    result.vectorize(lane, machine.lanes, tail).unroll(xi).unroll(yi);
    rows.compute_at(result, lane)
        .reorder(y, j, c, t)
        .vectorize(c, machine.lanes, Halide::TailStrategy::RoundUp)
        .unroll(y)
        .unroll(j);
  }

  void schedule_inputs() {
    // The elements of a transform are written side by side, a plane each. Planes that lay about a multiple of 4 KiB
    // apart would fall into one set of the first-level cache, so a dimension that makes one up is padded.
    const int tiles_together = round_up(s.groups > 0 ? s.tile_rows * s.across : s.down * s.across, tile);
    int channels = g.ic + machine.lanes;
    while (std::abs((4 * channels * tiles_together + 2048) % 4096 - 2048) < 256) channels += machine.lanes;
    input.align_storage(c, channels);
    sum.align_storage(t, round_up(s.tile_rows * s.across, tile) + 1);
    input.reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
    half.compute_at(input, c).reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
    if (s.groups > 0) {
      input.compute_at(result, task);
      if (s.down % s.tile_rows != 0) {
        // The last strip is computed whole, so that the sizes of all buffers are known when compiling.
        const int tiles = round_up(s.tile_rows * s.across, tile);
        input.bound_extent(t, tiles);
        sum.bound_extent(t, tiles);
      }
    } else {
      input.compute_at(result, n).parallel(t);
    }
  }

  void schedule_products() {
    // Of weights in registers a tile takes a row of values, all j, or half of them, else it takes one value.
    const auto products = [&](Halide::Stage stage) {
      stage.split(t, to, ti, tile, Halide::TailStrategy::RoundUp).vectorize(c, machine.lanes).unroll(c).unroll(ti);
      std::vector<Halide::VarOrRVar> order = {c, ti, to, j, i};
      if (s.in_registers) {
        stage.split(j, jo, j, size / s.row_parts);
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
      weight.align_storage(channel, s.part + 1);
      if (parts == 1) {
        weight.compute_at(result, block);
      } else {
        weight.compute_at(sum, all);
      }
      weight.bound_extent(c, g.block).reorder(j, i, c, channel).vectorize(c, machine.lanes).unroll(j).unroll(i);
      // Two vectors or two input channels together where they lie in one, so that which half is known when compiling.
      Var half_of_lane("half_of_lane");
      const bool pairs_vectors = g.weight_layout().pairs_vectors();
      if (pairs_vectors) weight.split(c, c, half_of_lane, 2).unroll(half_of_lane);
      if (g.weight_layout().pairs_input_channels() && s.part % 2 == 0) weight.unroll(channel, 2);
      weight_half.compute_at(weight, pairs_vectors ? half_of_lane : c)
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

const Strategy conv2d_winograd = {"conv2d_winograd", applies, choices,       build, pack,
                                  winograd_cycles,   3,       winograd_flop, legal};

}  // namespace resnetc
