// Winograd's minimal filtering F(m x m, 3 x 3) for 3x3 convolutions of stride 1: with t = (m + 2)^2 transformed values
// a tile, an output tile of m x m pixels is t products for each pair of channels, where direct summation takes 9 m^2:
// 2.25 times fewer for m = 2, 4 for m = 4, 5.06 for m = 6. Summed over input channels that is t small matrix products.
// winograd_transforms.h has the transforms and the bound on the error.
//
// Two orders. By channels: inputs are transformed once, for all channel blocks; then each task takes a block of output
// channels. By rows: each task takes a strip of tile rows, from transforming its input to its outputs.
//
// Weights are stored transformed where that is small. Otherwise they stay 3x3 in the file and in memory, for in a net
// they come from memory: each task transforms those of its channel block, a part of the input channels at a time, into
// a buffer that stays in its second-level cache, so that each weight is read once.
#include <algorithm>
#include <functional>
#include <map>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"
#include "schedules/prefetch_weights.h"
#include "schedules/winograd_transforms.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

struct Shape {
  Shape(const KernelKey& key, const Choice& choice, const Machine& machine)
      : g(key, choice["oc_vectors"] * machine.lanes),
        m(choice["tile"]),
        across(blocks(g.ow, m)),
        down(blocks(g.oh, m)),
        part(choice["channel_part"]),
        tile_rows(choice["tile_rows"]),
        by_rows(choice["by_rows"] != 0),
        stored(choice["stored"] != 0) {}
  int size() const { return m + 2; }
  std::vector<int> stored_extent() const { return {g.block, g.ic, size() * size(), g.block_count}; }
  Conv2dGeometry g;
  int m;             // a tile is m x m pixels
  int across, down;  // tiles
  int part;          // input channels whose products are summed in registers
  int tile_rows;     // that go from products to outputs together
  bool by_rows;      // parallel over strips of tile_rows, else over blocks of output channels
  bool stored;       // weights are stored transformed
};

bool applies(const KernelKey& key, const Machine& machine) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (machine.largest_winograd < 2) return false;
  if (!conv || pool_of(*conv) || conv->groups != 1 || conv->stride != Hw{} || conv->dilation != Hw{}) return false;
  const std::vector<int>& weight = key.operands[1].dims;
  return weight[1] == 3 && weight[2] == 3 && key.operands[0].channels() % machine.lanes == 0 &&
         border_holds_padding(key);
}

// Estimates for one tile or input channel and one vector of channels: (loads, stores and arithmetic) / 2.
double input_transform_cycles(int m) {
  return m == 2 ? 24 : m == 4 ? 90 : 190;
}
double weight_transform_cycles(int m) {
  return m == 2 ? 18 : m == 4 ? 45 : 80;
}
double output_transform_cycles(int m) {
  return m == 2 ? 20 : m == 4 ? 90 : 190;
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Shape s(key, choice, machine);
  const Conv2dGeometry& g = s.g;
  const int values = s.size() * s.size(), oc_vectors = choice["oc_vectors"] * g.block_count;
  const int tiles = s.across * s.down, strips = blocks(s.down, s.tile_rows);
  const double input = input_transform_cycles(s.m) * tiles * g.ic / machine.lanes;
  const double output = output_transform_cycles(s.m) * tiles * oc_vectors;
  const double weights = s.stored ? 0 : weight_transform_cycles(s.m) * g.ic * oc_vectors * (s.by_rows ? strips : 1);
  // A register tile of one pixel column, 1 x 1, for each transformed value.
  const double once = 16.0 + 5.0 * choice["oc_vectors"] * choice["pixels"];
  const double step =
      std::max({0.5 * choice["oc_vectors"] * choice["pixels"], 0.6 * (choice["oc_vectors"] + choice["pixels"]), 4.5});
  const double products = values * g.block_count * strips * blocks(s.tile_rows * s.across, choice["pixels"]) *
                          (step * g.ic + once * blocks(g.ic, s.part));
  // Transformed inputs, and weights for each strip, that pass through the caches once more.
  const double input_bytes = 4.0 * values * tiles * g.ic;
  const double weight_bytes = 4.0 * g.ic * g.block * g.block_count * (s.stored ? values : 9);
  const double traffic = s.by_rows ? cache_cycles(4.0 * g.ic * g.block * g.block_count * values * strips)
                                   : cache_cycles(input_bytes * g.block_count);
  const double work = weights + products + output + 0.5 * traffic;
  const double arithmetic =
      s.by_rows ? parallel_cycles(input + work, strips, machine)
                : parallel_cycles(input, tiles, machine) + parallel_cycles(work, g.block_count, machine);
  const int tasks = std::min(s.by_rows ? strips : g.block_count, machine.threads);
  return overlapped_cycles(arithmetic, memory_cycles(weight_bytes, tasks));
}

// Input channels whose transformed weights, for one block, stay in half of the second-level cache.
int channel_part(int ic, int block, int m, const Machine& machine) {
  int part = ic;
  while (part % 2 == 0 && 4.0 * part * block * (m + 2) * (m + 2) > 0.4 * static_cast<double>(machine.level2_bytes))
    part /= 2;
  return part;
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  const bool weights_stay = 4.0 * 9 * whole.ic * whole.oc <= 0.5 * static_cast<double>(machine.level2_bytes);
  std::vector<std::pair<double, Choice>> all;
  for (int m : {4, 2, 6}) {
    if (m > machine.largest_winograd) continue;
    const int across = blocks(whole.ow, m), down = blocks(whole.oh, m);
    for (int vectors = 1; vectors <= 4; vectors++) {
      const int block = vectors * machine.lanes, part = channel_part(whole.ic, block, m, machine);
      const double stored_bytes = 4.0 * (m + 2) * (m + 2) * whole.ic * round_up(whole.oc, block);
      for (int pixels = 1; pixels <= std::min(across * down, 28); pixels++) {
        if (vectors * (pixels + 1) + 2 + (machine.fused_multiply_add ? 0 : 1) > machine.registers) break;
        for (int rows = 1; rows <= down; rows++) {
          // Whole strips, so that the sizes of all buffers are known when compiling.
          if (down % rows != 0 || (part != whole.ic && rows != down)) continue;
          for (bool by_rows : {false, true})
            for (bool stored : {false, true}) {
              if (by_rows && part != whole.ic) continue;
              if (stored && stored_bytes > 0.5 * static_cast<double>(machine.level2_bytes)) continue;
              for (bool prefetch : {true, false}) {
                // Weights that stay in the caches need none.
                if (prefetch && (by_rows || stored || weights_stay || block >= whole.oc)) continue;
                if (prefetch && part * block % floats_of_line != 0) continue;
                Choice choice{"conv2d_winograd",
                              {{"tile", m},
                               {"oc_vectors", vectors},
                               {"pixels", pixels},
                               {"channel_part", part},
                               {"tile_rows", rows},
                               {"by_rows", by_rows},
                               {"stored", stored},
                               {"prefetch", prefetch}}};
                const double estimate = cycles(key, choice, machine);
                all.emplace_back(estimate, std::move(choice));
              }
            }
        }
      }
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // The best few of each tile size, order, kind of storage, with and without prefetching.
  std::map<std::vector<int>, int> kinds;
  std::vector<Choice> result;
  for (auto& [estimate, choice] : all)
    if (kinds[{choice["tile"], choice["by_rows"], choice["stored"], choice["prefetch"]}]++ < 4)
      result.push_back(std::move(choice));
  return result;
}

std::vector<Expr> along(int count, const std::function<Expr(int)>& at) {
  std::vector<Expr> values;
  for (int s = 0; s < count; s++) values.push_back(at(s));
  return values;
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Shape s(key, choice, machine);
  const Conv2dGeometry& g = s.g;
  const int m = s.m, size = s.size(), parts = g.ic / s.part;
  const Conv2dOperands operands(key, g, s.stored ? s.stored_extent() : g.weight_extent());

  Var c("c"), x("x"), y("y"), n("n"), t("t"), i("i"), j("j"), k("k"), channel("channel");
  Func half("half"), input("input_transformed");
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
                    return Halide::mux(i, winograd_input(m, along(size, [&](int dy) { return pixel(dx, dy); })));
                  }));
  input(c, t, j, i, n) =
      Halide::mux(j, winograd_input(m, along(size, [&](int dx) { return Expr(half(c, t, dx, i, n)); })));

  Func weight_half("weight_half"), weight("weight_transformed");
  if (s.stored) {
    weight(c, channel, j, i) = operands.weight(c % g.block, channel, i * size + j, c / g.block);
  } else {
    weight_half(c, channel, j, i) = Halide::mux(
        i, winograd_weight(
               m, along(3, [&](int ky) { return Expr(operands.weight(c % g.block, channel, j, ky, c / g.block)); })));
    weight(c, channel, j, i) =
        Halide::mux(j, winograd_weight(m, along(3, [&](int kx) { return Expr(weight_half(c, channel, kx, i)); })));
  }

  Func product("product"), sum("sum");
  Halide::RDom r(0, s.part, "r"), all(0, parts, "all");
  product(c, t, j, i, n, k) = 0.0f;
  product(c, t, j, i, n, k) += input(k * s.part + r, t, j, i, n) * weight(c, k * s.part + r, j, i);
  if (parts == 1) {
    sum(c, t, j, i, n) = product(c, t, j, i, n, 0);
  } else {
    sum(c, t, j, i, n) = 0.0f;
    sum(c, t, j, i, n) += product(c, t, j, i, n, all);
  }

  Func rows("rows"), result("result");
  rows(c, t, j, y, n) =
      Halide::mux(y, winograd_output(m, along(size, [&](int row) { return Expr(sum(c, t, j, row, n)); })));
  const Expr value =
      Halide::mux(x % m, winograd_output(m, along(size, [&](int column) {
                                           return Expr(rows(c, y / m * s.across + x / m, column, y % m, n));
                                         })));
  result(c, x, y, n) =
      apply_epilogue(key, operands, g.has_bias ? value + operands.bias(c) : value, c, x, y, n, Expr(), machine.lanes);

  bound_result(result, key.result);
  Var block("block"), lane("lane"), xo("xo"), yo("yo"), xi("xi"), yi("yi"), strip("strip"), row("row"), to("to"),
      ti("ti");
  const auto tail = Halide::TailStrategy::GuardWithIf;
  result.bound(c, 0, g.oc).bound(x, 0, g.ow).bound(y, 0, g.oh);
  result.split(c, block, lane, g.block, tail).tile(x, y, xo, yo, xi, yi, m, m, tail);
  result.split(yo, strip, row, s.tile_rows, tail);
  if (s.by_rows) {
    result.reorder(xi, yi, lane, xo, row, block, strip, n);
    if (s.down > s.tile_rows) result.parallel(strip);
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

  // The elements of a transform are written side by side, a plane each. Planes that lay a multiple of 4 KiB apart would
  // fall into one set of the first-level cache, so each dimension that makes one up is padded.
  const int tile = choice["pixels"];
  input.align_storage(c, g.ic + machine.lanes);
  sum.align_storage(t, round_up(s.tile_rows * s.across, tile) + 1);
  input.reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
  half.compute_at(input, c).reorder(j, i, c, t).vectorize(c, machine.lanes).unroll(j).unroll(i);
  if (s.by_rows) {
    input.compute_at(result, strip);
  } else {
    input.compute_at(result, n).parallel(t);
  }

  const auto products = [&](Halide::Stage stage) {
    stage.split(t, to, ti, tile, Halide::TailStrategy::RoundUp).vectorize(c, machine.lanes).unroll(c).unroll(ti);
    if (parts == 1) {
      stage.reorder(c, ti, to, j, i);
    } else {
      stage.reorder(c, ti, to, j, i, all);
    }
  };
  if (parts == 1) {
    sum.compute_at(result, s.by_rows ? block : strip).bound_extent(c, g.block);
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
  product.update().reorder(c, t, r).vectorize(c, machine.lanes).unroll(c).unroll(t);
  if (!s.stored) {
    weight.align_storage(channel, s.part + 1);
    if (parts == 1) {
      weight.compute_at(result, block);
    } else {
      weight.compute_at(sum, all);
    }
    weight.bound_extent(c, g.block).reorder(j, i, c, channel).vectorize(c, machine.lanes).unroll(j).unroll(i);
    weight_half.compute_at(weight, c).reorder(j, i, c, channel).vectorize(c, machine.lanes).unroll(j).unroll(i);
  }
  Halide::Pipeline pipeline(result);
  if (choice["prefetch"] == 0) return {pipeline, operands.arguments};
  // During the products of a part of the input channels the weights of the next part; with the last the first part of
  // the block that the thread takes next if all keep pace.
  const int part_lines = s.part * g.block / floats_of_line, plane = parts * part_lines;
  const auto line = [=, threads = machine.threads, part = all.x.name()](const LoopValue& loop, const Expr& nth) {
    const Expr next = loop(part) + 1, next_block = loop(".block") + Halide::select(next == parts, threads, 0);
    return (next_block * 9 + nth / part_lines) * plane + next % parts * part_lines + nth % part_lines;
  };
  const std::string passes =
      prefetch_weights(pipeline, {parts == 1 ? ".block" : all.x.name(), ".to", 9 * part_lines, line});
  return {pipeline, operands.arguments, passes};
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  const Shape s(key, choice, machine);
  PackedWeight plain = s.g.pack(operand, values);
  if (operand == 2 || !s.stored) return plain;
  const int size = s.size();
  PackedWeight packed{s.stored_extent(), std::vector<float>(plain.values.size() / 9 * size * size)};
  const size_t plane = static_cast<size_t>(s.g.block) * static_cast<size_t>(s.g.ic),
               values_of_tile = static_cast<size_t>(size * size);
  // The transform of a row of three, by its columns: ResNet-1202 has two million 3x3 weights to transform.
  std::vector<std::vector<double>> column;
  for (size_t k = 0; k < 3; k++) {
    std::vector<double> unit(3, 0.0);
    unit[k] = 1;
    column.push_back(winograd_weight(s.m, unit));
  }
  const auto transformed = [&](const double* row, size_t i) {
    return row[0] * column[0][i] + row[1] * column[1][i] + row[2] * column[2][i];
  };
  for (size_t b = 0; b < static_cast<size_t>(s.g.block_count); b++)
    for (size_t at = 0; at < plane; at++) {
      double weight[3][3];  // [kx][ky]
      for (size_t kx = 0; kx < 3; kx++)
        for (size_t ky = 0; ky < 3; ky++) weight[kx][ky] = plain.values[((b * 3 + ky) * 3 + kx) * plane + at];
      for (size_t i = 0; i < static_cast<size_t>(size); i++) {
        const double half[3] = {transformed(weight[0], i), transformed(weight[1], i), transformed(weight[2], i)};
        for (size_t j = 0; j < static_cast<size_t>(size); j++)
          packed.values[(b * values_of_tile + i * static_cast<size_t>(size) + j) * plane + at] =
              static_cast<float>(transformed(half, j));
      }
    }
  return packed;
}

}  // namespace

const Strategy conv2d_winograd = {"conv2d_winograd", applies, choices, build, pack, cycles, 2};

}  // namespace resnetc
