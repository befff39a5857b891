// Direct convolution with a register tile: oc_vectors vectors of output channels by `pixels` output pixels are summed
// over the whole window in registers, then go through the epilogue. Pixels are counted through the rows of the image,
// so that a tile may span rows and only the last tile of an image overlaps the one before it.
//
// Where the weights of a block would push each other out of the second-level cache, all tiles pass over one row of the
// window, or a part of its channels, before the next (passes > 1), with the sums between kept in memory.
//
// Zen 3 (AVX2, 100 GFLOP/s a core), tile 2 x 6: 97 to 99 GFLOP/s on ResNet-50's 3x3 shapes from 56 to 14 pixels.
#include <algorithm>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"
#include "schedules/prefetch_weights.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (!conv || pool_of(*conv) || conv->interleave != 1) return false;
  return border_holds_padding(key);
}

// Every output pixel reads one input pixel, and both lie in the same order.
bool is_pointwise(const Conv2dGeometry& g) {
  return g.kh == 1 && g.kw == 1 && g.conv.stride == Hw{} && g.conv.padding == Sides{} && is_flat(g.input);
}

// The same of what a Project reads.
bool is_flat_projection(const KernelKey& key) {
  const Project* projection = projection_of(std::get<Conv2d>(key.op));
  return projection && projection->stride == Hw{} && is_flat(key.operands[3]);
}

// Tasks of pixel tiles, so that the input of a task stays in the cache while all channel blocks pass over it and each
// thread gets several tasks; small kernels get one task a thread.
int pixel_tasks(const Conv2dGeometry& g, int pixels, const Machine& machine) {
  const int tiles = blocks(g.oh * g.ow, pixels);
  const double flop = 2.0 * g.oh * g.ow * g.oc * g.products();
  const double input_bytes = 4.0 * (g.input.height() * g.input.width() * g.ic + g.oh * g.ow * g.projected);
  const double by_work = flop / machine.threads / 4e6,
               by_cache = input_bytes / machine.threads / (0.25 * static_cast<double>(machine.level2_bytes));
  const int per_thread = static_cast<int>(std::clamp(std::max(std::min(by_work, 4.0), by_cache), 1.0, 16.0));
  return std::min(tiles, per_thread * machine.threads);
}

// Passes over the pixels for a block of channels: rows of the window by parts of the input channels. As many as it
// takes for the weights of a pass to stay in the second-level cache beside the input. Of a 1x1 of few pixels, which
// takes weights nearly as fast as memory has them, in the first: a block then waits for those of its first pass alone,
// and the others come in time. Granite Rapids, two threads, 2048 to 1024 channels of 7x7 pixels, cold, 4 x 5: 0.742 ms
// in one pass, 0.637 in 16; with blocks of half the size, or at 14x14 pixels, passes gain nothing.
int pass_count(const Conv2dGeometry& g, const Machine& machine) {
  const double block_bytes = 4.0 * g.block_lanes();
  const double cache = static_cast<double>(machine.level2_bytes);
  int parts = 1;
  const auto halve_above = [&](double bytes) {
    while (block_bytes / (g.kh * parts) > bytes && g.reduction % (2 * parts) == 0) parts *= 2;
  };
  if (g.kh == 1) {
    if (g.projected == 0 && g.oh * g.ow <= 64 && block_bytes > 256 << 10)
      halve_above(static_cast<double>(machine.level1_bytes));
    return parts;
  }
  if (block_bytes <= 0.4 * cache) return 1;
  halve_above(0.25 * cache);
  return g.kh * parts;
}

// Input channels a step. LLVM addresses pixels that lie one after the other best with four, all others with one: a 1x1
// of stride 2 on Zen 3 reaches 89 % of peak with one, 74 % with four.
int preferred_unroll(const Conv2dGeometry& g) {
  return g.reduction <= 4 ? g.reduction : is_pointwise(g) ? 4 : 1;
}

// Preferred first. Weights that lie in pairs of input channels are read two channels a step.
std::vector<int> unrolls(const Conv2dGeometry& g) {
  const int wanted = preferred_unroll(g);
  std::vector<int> result = {wanted, wanted == 1 ? 2 : 1};
  if (g.has_pairs_of_channels()) result = wanted == 4 ? std::vector{4, 2} : std::vector{2};
  std::erase_if(result, [&](int unroll) { return g.reduction % unroll != 0; });
  return result;
}

double balance(int tasks, int threads) {
  return static_cast<double>(tasks) / (blocks(tasks, threads) * threads);
}

// Blocks that follow each other, whose weights are whole cache lines.
bool can_prefetch(const Conv2dGeometry& g) {
  return g.block_count > 1 && g.block_lanes() % floats_of_line == 0 &&
         (g.projected == 0 || g.channels_fill_lines(g.projected));
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  std::vector<Choice> result;
  std::vector<RegisterTile> tiles = register_tiles(key, whole.oh * whole.ow, preferred_unroll(whole), machine);
  if (tiles.size() > 10) tiles.resize(10);
  for (const RegisterTile& tile : tiles) {
    const Conv2dGeometry g(key, tile.oc_vectors * machine.lanes, machine.lanes);
    const int tasks = pixel_tasks(g, tile.pixels, machine);
    const bool weights_stay = g.bytes_as_f32() <= 0.5 * static_cast<double>(machine.level2_bytes);
    const bool by_channels = weights_stay
                                 ? balance(tasks, machine.threads) < 0.8 * balance(g.block_count, machine.threads)
                                 : balance(g.block_count, machine.threads) >= 0.8 * balance(tasks, machine.threads);
    for (int order = 0; order < 2; order++) {
      for (int unroll : unrolls(g)) {
        const int pixel_parallel = by_channels ? order : 1 - order;
        const int preferred = pixel_parallel || (g.kh == 1 && weights_stay) ? 1 : pass_count(g, machine);
        std::vector<int> pass_counts = {preferred};
        if (!pixel_parallel && (g.kh > 1 || preferred > 1)) pass_counts.push_back(preferred > 1 ? 1 : g.kh);
        for (int passes : pass_counts) {
          // Weights that stay in the caches need none.
          for (bool prefetch : {true, false}) {
            if (prefetch && (pixel_parallel || weights_stay || !can_prefetch(g))) continue;
            result.push_back({"conv2d_direct",
                              {{"oc_vectors", tile.oc_vectors},
                               {"pixels", tile.pixels},
                               {"unroll", unroll},
                               {"pixel_tasks", pixel_parallel ? tasks : 0},
                               {"passes", passes},
                               {"prefetch", prefetch}}});
          }
        }
      }
    }
  }
  return result;
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  const int pixels = whole.oh * whole.ow;
  if (!has_parameters(choice, {{"oc_vectors", 1, most_oc_vectors},
                               {"pixels", 1, std::min(pixels, most_tile_pixels)},
                               {"unroll", 1, 4},
                               {"pixel_tasks", 0, pixels},
                               {"passes", 1, whole.kh * whole.ic},
                               {"prefetch", 0, 1}}))
    return false;
  if (!is_register_tile(choice["oc_vectors"], choice["pixels"], machine)) return false;
  const Conv2dGeometry g(key, choice["oc_vectors"] * machine.lanes, machine.lanes);
  if (g.reduction % choice["unroll"] != 0 || (g.has_pairs_of_channels() && choice["unroll"] % 2 != 0)) return false;
  const bool by_channels = choice["pixel_tasks"] == 0;
  if (choice["pixel_tasks"] > blocks(pixels, choice["pixels"])) return false;
  // Rows of the window by equal parts of the channels.
  const int passes = choice["passes"];
  if (passes > 1 && (!by_channels || g.projected > 0 || passes % g.kh != 0 || g.reduction % (passes / g.kh) != 0))
    return false;
  return choice["prefetch"] == 0 || (by_channels && can_prefetch(g));
}

// The stages of a kernel, in the order in which values pass through them, and how they are scheduled.
struct Stages {
  Stages(const KernelKey& of, const Choice& of_choice, const Machine& for_machine)
      : key(of),
        choice(of_choice),
        machine(for_machine),
        g(of, of_choice["oc_vectors"] * for_machine.lanes, for_machine.lanes),
        operands(of, g),
        all_pixels(g.oh * g.ow),
        tile(std::min(choice["pixels"], all_pixels)),
        tiles(blocks(all_pixels, tile)),
        tasks(std::max(choice["pixel_tasks"], 1)),
        tiles_per_task(blocks(tiles, tasks)),
        in_passes(choice["passes"] > 1),
        part_channels(g.reduction / (in_passes ? choice["passes"] / g.kh : 1)),
        r(0, part_channels, 0, g.kw, 0, in_passes ? 1 : g.kh, "r"),
        pass(0, choice["passes"], "pass"),
        from(0, std::max(g.projected, 1), "from"),
        q(0, tile, 0, tiles_per_task, 0, tasks, "q") {}

  const KernelKey& key;
  const Choice& choice;
  const Machine& machine;
  const Conv2dGeometry g;
  const Conv2dOperands operands;
  const int all_pixels, tile, tiles, tasks, tiles_per_task;
  const bool in_passes;
  const int part_channels;  // that a pass sums

  Var c{"c"}, x{"x"}, y{"y"}, n{"n"}, i{"i"}, t{"t"}, k{"k"}, block{"block"}, lane{"lane"};
  Func sum{"sum"}, total{"total"}, result{"result"};
  Halide::RDom r, pass, from, q;

  // The last tile moves back onto pixels that the one before it has done: both write the same values.
  Expr pixel(const Expr& tile_index, const Expr& within) const {
    const Expr first = tile_index * tile;
    const bool exact = all_pixels % tile == 0 && tiles_per_task * tasks == tiles;
    return (exact ? first : Halide::min(first, all_pixels - tile)) + within;
  }

  void sum_windows() {
    const Expr p = pixel(t, i), bias = g.has_bias ? Expr(operands.bias(c)) : Expr(0.0f);
    const bool pointwise = is_pointwise(g);
    const Expr x_in = pointwise ? p : p % g.ow * g.conv.stride.w - g.conv.padding.left;
    const Expr y_in = pointwise ? Expr(0) : p / g.ow * g.conv.stride.h - g.conv.padding.top;
    if (in_passes) {
      sum(c, i, t, n, k) = 0.0f;
      sum(c, i, t, n, k) += window_term(g, operands, c, x_in, y_in, n, k / g.kh * part_channels + r.x, r.y, k % g.kh);
      total(c, i, t, n) = bias;
      total(c, i, t, n) += sum(c, i, t, n, pass);
      return;
    }
    sum(c, i, t, n) = bias;
    sum(c, i, t, n) += window_term(g, operands, c, x_in, y_in, n, r.x, r.y, r.z);
    if (const Project* projection = projection_of(g.conv)) {
      const bool flat = is_flat_projection(key);
      const Expr x_from = flat ? p : p % g.ow * projection->stride.w;
      const Expr y_from = flat ? Expr(0) : p / g.ow * projection->stride.h;
      sum(c, i, t, n) += operands.residuals[0](from, x_from, y_from, n) *
                         operands.weight(c % g.block, g.reduction + from, 0, 0, c / g.block);
    }
    total = sum;
  }

  void store_result() {
    const Expr tile_index = q.z * tiles_per_task + q.y, done = pixel(tile_index, q.x);
    const Expr value = apply_epilogue(key, operands, total(c, q.x, tile_index, n), c, done % g.ow, done / g.ow, n, done,
                                      machine.lanes);
    result(c, x, y, n) = Halide::undef<float>();
    if (is_flat(key.result)) {
      result(c, done, 0, n) = value;
    } else {
      result(c, done % g.ow, done / g.ow, n) = value;
    }
  }

  void schedule_result() {
    bound_result(result, key.result);
    Halide::Stage store = result.update();
    store.split(c, block, lane, g.block,
                g.oc % g.block == 0 ? Halide::TailStrategy::RoundUp : Halide::TailStrategy::GuardWithIf);
    if (choice["pixel_tasks"] == 0) {
      store.reorder(lane, q.x, q.y, q.z, n, block);
      if (g.block_count > 1) store.parallel(block);
    } else {
      store.reorder(lane, q.x, q.y, block, q.z, n);
      store.allow_race_conditions();
      if (tasks > 1) store.parallel(q.z);
    }
    store.vectorize(lane, machine.lanes).unroll(lane).unroll(q.x);
  }

  void schedule_sums() {
    if (in_passes) {
      total.compute_at(result, n).bound_extent(c, g.block).vectorize(c, machine.lanes).unroll(c).unroll(i);
      total.update().reorder(c, i, t, pass).vectorize(c, machine.lanes).unroll(c).unroll(i);
      sum.compute_at(total, t);
    } else {
      sum.compute_at(result, q.y);
    }
    sum.store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
    sum.vectorize(c, machine.lanes).unroll(c).unroll(i);
    sum.update().reorder(c, i, r.x, r.y, r.z).vectorize(c, machine.lanes).unroll(c).unroll(i);
    if (choice["unroll"] > 1) sum.update().unroll(r.x, choice["unroll"]);
    if (g.projected > 0) {
      sum.update(1).reorder(c, i, from).vectorize(c, machine.lanes).unroll(c).unroll(i);
      if (is_flat_projection(key) && g.projected % choice["unroll"] == 0) sum.update(1).unroll(from, choice["unroll"]);
    }
  }

  // During a pass the weights of the next: those of a whole block would not stay in the second-level cache until then.
  // During the last one those of the next block, though with several images only the last of them is followed by it.
  std::string prefetch_pass(Halide::Pipeline& pipeline) const {
    const int passes = choice["passes"], rows = g.kh, columns = g.kw, block_lines = g.block_lanes() / floats_of_line,
              tap_lines = g.lanes_of_channels(g.reduction) / floats_of_line,
              part_lines = g.lanes_of_channels(part_channels) / floats_of_line;
    const auto line = [=, of_pass = pass.x.name()](const LoopValue& loop, const Expr& nth) {
      const Expr next = loop(of_pass) + 1, then = next % passes;
      return (loop(".block") + next / passes) * block_lines + (then % rows * columns + nth / part_lines) * tap_lines +
             then / rows * part_lines + nth % part_lines;
    };
    return prefetch_weights(pipeline, {pass.x.name(), sum.name() + ".s1.", columns * part_lines, line});
  }

  // During a block of channels the weights of the next, for a thread's tasks follow each other; those of a projection
  // while it is summed.
  std::string prefetch(Halide::Pipeline& pipeline) const {
    if (in_passes && g.channels_fill_lines(part_channels)) return prefetch_pass(pipeline);
    const int lines = g.block_lanes() / floats_of_line,
              projected = g.projected == 0 ? 0 : g.lanes_of_channels(g.projected) / floats_of_line;
    const auto lines_from = [lines](int first) {
      return
          [lines, first](const LoopValue& loop, const Expr& nth) { return (loop(".block") + 1) * lines + first + nth; };
    };
    std::string passes = prefetch_weights(pipeline, {".block", sum.name() + ".s1.", lines - projected, lines_from(0)});
    if (projected > 0)
      passes += prefetch_weights(pipeline, {".block", sum.name() + ".s2.", projected, lines_from(lines - projected)});
    return passes;
  }
};

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  Stages stages(key, choice, machine);
  stages.sum_windows();
  stages.store_result();
  stages.schedule_result();
  stages.schedule_sums();
  KernelPipeline kernel{Halide::Pipeline(stages.result), stages.operands.arguments};
  if (choice["prefetch"] != 0) kernel.passes = stages.prefetch(kernel.pipeline);
  return kernel;
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  return Conv2dGeometry(key, choice["oc_vectors"] * machine.lanes, machine.lanes).pack(operand, values);
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, choice["oc_vectors"] * machine.lanes, machine.lanes);
  const int pixels = g.oh * g.ow, tile = std::min(choice["pixels"], pixels);
  const double weight_bytes = g.weight_layout().bytes();
  const int unroll = is_pointwise(g) ? choice["unroll"] : preferred_unroll(g);
  double work = register_tile_cycles(g, tile, pixels, unroll, machine);
  // Sums that are kept between passes.
  if (choice["passes"] > 1) work += cache_cycles(8.0 * pixels * g.block * g.block_count * choice["passes"]);
  const int tasks = choice["pixel_tasks"] == 0 ? g.block_count : choice["pixel_tasks"];
  // Each task over pixels reads all weights, again from a shared cache if they do not stay in its own.
  double again = 0;
  if (choice["pixel_tasks"] > 0 && weight_bytes > 0.5 * static_cast<double>(machine.level2_bytes))
    again = cache_cycles(weight_bytes) * blocks(tasks, machine.threads);
  return overlapped_cycles(parallel_cycles(work, tasks, machine),
                           again + memory_cycles(weight_bytes, std::min(tasks, machine.threads)));
}

}  // namespace

const Strategy conv2d_direct = {"conv2d_direct", applies, choices, build, pack, cycles, 2, nullptr, legal};

}  // namespace resnetc
