// Winograd for 3x3 convolutions of stride 2, over the four phases of the input: along each axis a 2-tap filter on the
// even inputs and one tap on the odd ones. (2 m + 1)^2 products make m x m outputs, where direct summation takes 9 m^2:
// 1.44 times fewer for m = 2, 1.78 for m = 4. All phases add up in the same (m + 1)^2 sums a tile.
// winograd_phase_transforms.h has the transforms and the bound on the error.
//
// Transformed weights are never kept: (2 m + 1)^2 planes of inputs pass through the second-level cache as it is. A
// register tile takes one row of sums, m + 1, of a few tiles and vectors of channels, and makes the weights of that row
// of 3x3 as it multiplies: 8 additions for 25 products of each tile (m = 2), 36 for 81. Two vectors of channels, for
// with one each multiply-add loads an input of its own, and loads are then as many as the core can do. Transformed
// inputs of a tile and a vector of channels lie side by side, in the order in which they are made.
//
// A task has some register tiles and all channels where the weights stay in the second-level cache, else a group of
// channel blocks and all tiles, and transforms its inputs itself.
#include <algorithm>
#include <set>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"
#include "schedules/prefetch_weights.h"
#include "schedules/winograd_expr.h"
#include "schedules/winograd_phase_transforms.h"
#include "schedules/winograd_weights.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

struct Shape {
  Shape(const KernelKey& key, const Choice& choice, const Machine& machine)
      : g(key, choice["oc_vectors"] * machine.lanes, machine.lanes),
        m(choice["tile"]),
        across(blocks(g.ow, m)),
        tiles(across * blocks(g.oh, m)),
        pixels(choice["pixels"]),
        groups(std::max(choice["channel_groups"], 1)),
        tiles_per_task(blocks(blocks(tiles, pixels), std::max(choice["tile_tasks"], 1))),
        tasks(blocks(blocks(tiles, pixels), tiles_per_task)) {}
  int sums() const { return m + 1; }          // along an axis
  int products() const { return 2 * m + 1; }  // along an axis
  int register_tiles() const { return tasks * tiles_per_task; }
  // Tap by tap of each channel.
  WeightLayout weight_layout() const { return {g.stored, {g.block, 9, g.ic, g.block_count}, g.lanes}; }
  int lanes_of_block() const { return static_cast<int>(weight_layout().stored_lanes() / g.block_count); }
  Conv2dGeometry g;
  int m;              // a tile is m x m pixels
  int across, tiles;  // tiles in a row, and in the image
  int pixels;         // tiles of a register tile
  int groups;         // of channel blocks, a task each; 1: tasks are of register tiles, or there is one
  int tiles_per_task, tasks;
};

bool applies(const KernelKey& key, const Machine& machine) {
  return suits_winograd(key, machine, {2, 2}, machine.lanes);
}

// The rows of transformed weights that are combined of two rows of taps.
int combined_rows(int m) {
  return m == 2 ? 1 : 3;
}

// Of a register tile, for each input channel: all rows of sums.
double step_cycles(const Shape& s, const Machine& machine) {
  const double vectors = s.g.block / machine.lanes, products = s.products();
  const int combined = combined_rows(s.m);
  const double weight_loads = vectors * 3 * (products + combined),
               weight_operations = vectors * combined * (products + 3);
  const double arithmetic = 0.5 * (products * products * vectors * s.pixels + weight_operations);
  // Inputs and weights come from the second-level cache, most of them.
  const double loads = 0.7 * (products * products * s.pixels + weight_loads);
  return std::max(arithmetic, loads) + 0.1 * cache_cycles(4.0 * machine.lanes * weight_loads);
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Shape s(key, choice, machine);
  const double vectors = s.g.block_count * (s.g.block / machine.lanes), weight_bytes = s.weight_layout().bytes();
  // Of a tile and a vector of channels. Loads, stores and arithmetic of both axes at two a cycle are 60 and 360 cycles
  // for inputs, 17 and 108 for outputs; what is above that is a guess at stores that miss the first-level cache and at
  // the epilogue.
  const double input = (s.m == 2 ? 130.0 : 450.0) * s.tiles * s.g.ic / machine.lanes;
  const double output = (s.m == 2 ? 60.0 : 150.0) * s.tiles * vectors;
  const double products = step_cycles(s, machine) * s.register_tiles() * s.g.ic * s.g.block_count;
  const int tasks = std::max(s.groups, s.tasks);
  const auto cache = static_cast<double>(machine.level2_bytes);
  double again = 0;
  if (s.tasks > 1 && weight_bytes > 0.5 * cache) again = cache_cycles(weight_bytes) * blocks(tasks, machine.threads);
  // Every block of channels reads a task's transformed inputs. Granite Rapids, 128 channels to 28 x 28 pixels, 2 MiB of
  // them, two threads: 0.64 ms, 0.51 in tasks of 83 KB.
  const double inputs = 4.0 * s.products() * s.products() * s.pixels * s.tiles_per_task * s.g.ic;
  if (inputs > cache) again += inputs / 6 * blocks(s.g.block_count, std::min(tasks, machine.threads));
  const double arithmetic = parallel_cycles(products + output + input * s.groups, tasks, machine),
               memory = again + memory_cycles(weight_bytes, std::min(tasks, machine.threads));
  // Weights are few operations away from their use, so that a core waits for those that are not fetched ahead.
  const bool waits = choice["prefetch"] == 0 && weight_bytes > 0.5 * cache;
  return waits ? arithmetic + memory : overlapped_cycles(arithmetic, memory);
}

// Both axes of a transform: of all columns that are read, then of all rows that come out.
int64_t phases_flop(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Shape s(key, choice, machine);
  const int64_t ic = s.g.ic, oc = s.g.oc, tiles = s.tiles, products = s.products();
  const int64_t input = 2 * products * transform_operations(phase_input, s.m, s.products()),
                output = (s.sums() + s.m) * transform_operations(phase_output, s.m, s.sums()),
                weight = (products + 3) * transform_operations(phase_weight, s.m, 3);
  return 2 * products * products * tiles * ic * oc + input * s.groups * tiles * ic + output * tiles * oc +
         weight * s.register_tiles() * ic * oc;
}

// Sums of a register tile, weights and an input; of weights, three taps of a row, all but one vector's may be memory.
bool fits_registers(int m, int vectors, int pixels, const Machine& machine) {
  return vectors * pixels * (m + 1) + 3 * vectors + (machine.fused_multiply_add ? 1 : 2) <= machine.registers;
}

constexpr int most_tasks = 64;

// The next block's weights, where a task has several, in whole cache lines.
bool can_prefetch(const Shape& s) {
  return s.groups < s.g.block_count && s.lanes_of_block() % floats_of_line == 0;
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  const bool weights_stay = whole.bytes_as_f32() <= 0.5 * static_cast<double>(machine.level2_bytes);
  std::vector<Choice> all;
  const auto add = [&](int m, int vectors, int pixels, int tasks, int groups, bool prefetch) {
    all.push_back({"conv2d_winograd_stride2",
                   {{"tile", m},
                    {"oc_vectors", vectors},
                    {"pixels", pixels},
                    {"tile_tasks", tasks},
                    {"channel_groups", groups},
                    {"prefetch", prefetch}}});
  };
  for (int m : {4, 2}) {
    if (m > machine.largest_winograd) continue;
    const int tiles = blocks(whole.ow, m) * blocks(whole.oh, m);
    for (int vectors = 1; vectors <= most_oc_vectors; vectors++) {
      const int block_count = blocks(whole.oc, vectors * machine.lanes);
      for (int pixels = 1; pixels <= tiles && fits_registers(m, vectors, pixels, machine); pixels++) {
        add(m, vectors, pixels, std::min(blocks(tiles, pixels), most_tasks), 0, false);
        for (int groups : std::set<int>{machine.threads, 2 * machine.threads}) {
          if (block_count % groups != 0) continue;
          add(m, vectors, pixels, 0, groups, false);
          // Weights that stay in the caches need none.
          if (!weights_stay && can_prefetch(Shape(key, all.back(), machine))) add(m, vectors, pixels, 0, groups, true);
        }
      }
    }
  }
  // By tile size, order, with and without prefetching.
  return few_of_each_kind(ranked(all, key, machine, cycles), [](const Choice& choice) {
    return std::vector<int>{choice["tile"], choice["tile_tasks"] > 0, choice["prefetch"]};
  });
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  if (!has_parameters(choice, {{"tile", 2, std::min(machine.largest_winograd, 4)},
                               {"oc_vectors", 1, most_oc_vectors},
                               {"pixels", 1, most_tile_pixels},
                               {"tile_tasks", 0, most_tasks},
                               {"channel_groups", 0, whole.oc},
                               {"prefetch", 0, 1}}))
    return false;
  const int m = choice["tile"], vectors = choice["oc_vectors"], pixels = choice["pixels"], tasks = choice["tile_tasks"],
            groups = choice["channel_groups"];
  if (m == 3 || !fits_registers(m, vectors, pixels, machine)) return false;
  const Shape s(key, choice, machine);
  if (pixels > s.tiles || tasks > blocks(s.tiles, pixels)) return false;
  // Tasks are of the one or of the other.
  if ((tasks > 0) == (groups > 0) || (groups > 0 && s.g.block_count % groups != 0)) return false;
  return choice["prefetch"] == 0 || (groups > 0 && can_prefetch(s));
}

// The stages of a kernel, in the order in which values pass through them, and how they are scheduled.
struct Stages {
  Stages(const KernelKey& of, const Choice& choice, const Machine& machine)
      : key(of),
        s(of, choice, machine),
        g(s.g),
        m(s.m),
        sums(s.sums()),
        products(s.products()),
        lanes(machine.lanes),
        operands(of, g, s.weight_layout()),
        r(0, lanes, 0, g.ic / lanes, 0, 2, 0, 2, "r"),
        q(0, m, 0, m, 0, s.pixels, 0, s.tiles_per_task, 0, s.tasks, "q") {}

  const KernelKey& key;
  const Shape s;
  const Conv2dGeometry& g;
  const int m, sums, products, lanes;
  const Conv2dOperands operands;

  Var c{"c"}, x{"x"}, y{"y"}, n{"n"}, t{"t"}, i{"i"}, j{"j"}, p{"p"}, cb{"cb"}, lane{"lane"}, to{"to"};
  Var channel{"channel"}, block{"block"}, group{"group"}, li{"li"};
  Func half{"half"}, input{"input_transformed"}, weight_half{"weight_half"}, weight{"weight_transformed"},
      product{"product"}, sum{"sum"}, rows{"rows"}, result{"result"};
  Halide::RDom r, q;

  void transform_inputs() {
    const Sides& border = g.input.border;
    const auto pixel = [&](int dx, int dy) {
      return operands.input(
          cb * lanes + lane,
          Halide::min(t % s.across * (2 * m) + dx - g.conv.padding.left, g.input.width() + border.right - 1),
          Halide::min(t / s.across * (2 * m) + dy - g.conv.padding.top, g.input.height() + border.bottom - 1), n);
    };
    half(lane, j, i, cb, t, n) =
        Halide::mux(j, along(products, [&](int dx) {
                      return transformed(phase_input, m, products, i, [&](int dy) { return pixel(dx, dy); });
                    }));
    input(lane, j, i, cb, t, n) =
        transformed(phase_input, m, products, j, [&](int dx) { return half(lane, dx, i, cb, t, n); });
  }

  void transform_weights() {
    const auto tap = [&](const Expr& kx, int ky) {
      return operands.weight(c % g.block, ky * 3 + kx, channel, c / g.block);
    };
    weight_half(c, channel, j, i) = transformed(phase_weight, m, 3, i, [&](int ky) { return tap(j, ky); });
    weight(c, channel, j, i) =
        transformed(phase_weight, m, 3, j, [&](int kx) { return weight_half(c, channel, kx, i); });
  }

  Expr first_tile(const Expr& register_tile) const {
    const bool exact = s.tiles == s.pixels * s.register_tiles();
    return exact ? register_tile * s.pixels : Halide::min(register_tile * s.pixels, s.tiles - s.pixels);
  }

  // The products of a sum: its own, and the second one, if there is any.
  Expr product_of_sum(const Expr& of, const Expr& nth) const {
    const std::vector<int> second = phase_second_products(m);
    return Halide::select(nth == 0, of,
                          Halide::mux(of, along(sums, [&](int k) { return Expr(second.at(static_cast<size_t>(k))); })));
  }

  void multiply() {
    const auto clamped = [&](const Expr& of) { return Halide::clamp(of, 0, products - 1); };
    const Expr jx = product_of_sum(j, r.z), iy = product_of_sum(i, r.w);
    product(c, p, j, i, to, n) = 0.0f;
    product(c, p, j, i, to, n) += Halide::select(jx >= 0 && iy >= 0,
                                                 input(r.x, clamped(jx), clamped(iy), r.y, first_tile(to) + p, n) *
                                                     weight(c, r.y * lanes + r.x, clamped(jx), clamped(iy)),
                                                 0.0f);
    sum(c, p, j, i, to, n) = product(c, p, j, i, to, n);
  }

  void transform_outputs() {
    rows(c, p, j, y, to, n) = transformed(phase_output, m, sums, y, [&](int row) { return sum(c, p, j, row, to, n); });
    const Expr register_tile = q[4] * s.tiles_per_task + q[3], tile = first_tile(register_tile) + q[2];
    const Expr x_out = tile % s.across * m + q[0], y_out = tile / s.across * m + q[1];
    if (g.ow % m != 0) q.where(x_out < g.ow);
    if (g.oh % m != 0) q.where(y_out < g.oh);
    const Expr value = transformed(phase_output, m, sums, q[0],
                                   [&](int column) { return rows(c, q[2], column, q[1], register_tile, n); });
    result(c, x, y, n) = Halide::undef<float>();
    result(c, x_out, y_out, n) =
        apply_epilogue(key, operands, g.has_bias ? value + operands.bias(c) : value, c, x_out, y_out, n, Expr(), lanes);
  }

  void schedule_result() {
    bound_result(result, key.result);
    Halide::Stage store = result.update();
    // A loop's name holds those of what it was split from: no other may hold ".block".
    const Var outer = s.groups > 1 ? Var("all") : block;
    store.split(c, outer, lane, g.block,
                g.oc % g.block == 0 ? Halide::TailStrategy::RoundUp : Halide::TailStrategy::GuardWithIf);
    store.split(lane, lane, li, lanes);
    if (s.groups > 1) {
      store.split(outer, group, block, g.block_count / s.groups);
      store.reorder(li, q[0], q[1], lane, q[2], q[3], block, q[4], group, n).parallel(group);
      input.compute_at(result, group);
    } else {
      store.reorder(li, q[0], q[1], lane, q[2], q[3], block, q[4], n).allow_race_conditions();
      if (s.tasks > 1) store.parallel(q[4]);
      input.compute_at(result, q[4]);
    }
    store.vectorize(li).unroll(q[0]).unroll(q[1]);
    // Halide does not see these where the last block is not whole.
    rows.compute_at(result, lane)
        .bound_extent(c, lanes)
        .bound_extent(p, 1)
        .bound_extent(j, sums)
        .bound_extent(y, m)
        .reorder(y, j, c, p)
        .vectorize(c, lanes, Halide::TailStrategy::RoundUp)
        .unroll(y)
        .unroll(j);
  }

  void schedule_inputs() {
    input.bound_extent(t, s.tiles_per_task * s.pixels).bound_extent(lane, lanes);
    input.reorder(lane, j, i, cb, t).vectorize(lane, lanes).unroll(j).unroll(i);
    half.compute_at(input, cb).reorder(lane, j, i).vectorize(lane, lanes).unroll(j).unroll(i);
  }

  void schedule_products() {
    sum.compute_at(result, q[3]).bound_extent(c, g.block);
    sum.reorder(c, p, j, i).vectorize(c, lanes).unroll(c).unroll(p).unroll(j).unroll(i);
    product.compute_at(sum, i).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
    product.vectorize(c, lanes).unroll(c).unroll(p).unroll(j).unroll(i);
    product.update().reorder(c, p, j, i, r.z, r.w, r.x, r.y);
    product.update().vectorize(c, lanes).unroll(c).unroll(p).unroll(j).unroll(i).unroll(r.z).unroll(r.w);
    weight.compute_at(product, r.x).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
    weight.reorder(c, j, i).vectorize(c, lanes).unroll(c).unroll(j).unroll(i);
    weight_half.compute_at(product, r.x).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
    weight_half.reorder(c, j, i).vectorize(c, lanes).unroll(c).unroll(j).unroll(i);
  }

  // During a block of channels the weights of the next.
  WeightPrefetch prefetch() const {
    const int lines = s.lanes_of_block() / floats_of_line;
    const auto line = [lines, in_group = g.block_count / s.groups](const LoopValue& loop, const Expr& nth) {
      return (loop(".group") * in_group + loop(".block") + 1) * lines + nth;
    };
    return {".block", product.name() + ".s1.", lines, line, sums};
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
  KernelPipeline kernel{Halide::Pipeline(stages.result), stages.operands.arguments};
  if (choice["prefetch"] != 0) kernel.passes = prefetch_weights(kernel.pipeline, stages.prefetch());
  return kernel;
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  const Shape s(key, choice, machine);
  if (operand == 2) return s.g.pack(operand, values);
  const WeightLayout layout = s.weight_layout();
  return layout.stored({layout.extent, weights_by_channel(s.g.in_blocks(values), s.g.block, s.g.block_count)});
}

}  // namespace

const Strategy conv2d_winograd_stride2 = {
    "conv2d_winograd_stride2", applies, choices, build, pack, cycles, 1, phases_flop, legal};

}  // namespace resnetc
