#include "schedules/winograd_shape.h"

#include <algorithm>

#include "schedules/cost.h"

namespace resnetc {
namespace {

// Estimates for one tile or input channel and one vector of channels: (loads, stores and arithmetic) / 2.
double input_transform_cycles(int m) {
  return m == 2 ? 24 : m == 4 ? 90 : m == 5 ? 130 : 190;
}
double weight_transform_cycles(int m, DType stored) {
  return (m == 2 ? 18 : m == 4 ? 45 : m == 5 ? 60 : 80) + (stored == DType::bf16 ? 4.5 : 0);
}
double output_transform_cycles(int m) {
  return m == 2 ? 20 : m == 4 ? 90 : m == 5 ? 130 : 190;
}

// Of all products of a strip and a part of the input channels, for each input channel.
double products_cycles(const WinogradShape& s, const Choice& choice) {
  const double vectors = choice["oc_vectors"], pixels = s.pixels, size = s.size();
  const int tiles = s.register_tiles();
  if (!s.in_registers)  // a register tile of one pixel column, 1 x 1, for each transformed value
    return size * size * tiles * std::max({0.5 * vectors * pixels, 0.6 * (vectors + pixels), 4.5});
  // A row of values: its sums, the half-transformed weights of three taps that it is made of, their transform. Each
  // part of a row needs all three taps too, but the value at infinity only one.
  constexpr double share_of_part[] = {1, 0.65, 0.5};
  const double transform = share_of_part[s.row_parts - 1] * weight_transform_cycles(s.m, s.g.stored) / size,
               values = size / s.row_parts, loads = 7 * vectors + values * pixels;
  return size * s.row_parts * tiles *
         std::max({0.5 * vectors * pixels * values + vectors * transform, 0.5 * loads, 4.5});
}

// Transformed inputs that pass through the caches once more: for each block of channels, if they leave the second-level
// cache. A task that keeps its weights may have strips so small that all it needs stays: 56x56x64 on Granite Rapids,
// two threads, seven strips of a row of tiles 0.20 ms, one of seven rows 0.28.
double input_traffic_cycles(const WinogradShape& s, double input_bytes, const Machine& machine) {
  if (!s.kept_for_task()) return 0.5 * cache_cycles(input_bytes * s.g.block_count);
  const double tiles = s.tile_rows * s.across,
               floats = s.size() * s.size() *
                        (tiles * (s.g.ic + s.g.block) + 1.0 * s.g.ic * s.g.block * s.g.block_count / s.groups);
  return 0.5 * cache_cycles(input_bytes * s.groups) * 4 * floats / static_cast<double>(machine.level2_bytes);
}

// Rows of transformed weights that are made for each pair of channels: in registers for each register tile anew, but
// not those that a tile of the last row is spared if none of another row is in it.
int64_t weight_rows(const WinogradShape& s) {
  if (!s.in_registers) return int64_t{s.size()} * s.tasks_of_group();
  const int spared = s.pixels <= s.across ? s.spared_rows() * (s.across / s.pixels) : 0;
  return int64_t{s.size()} * s.tasks_of_group() * s.register_tiles() - spared;
}

// How often weights pass through the second-level cache: the 3x3 ones are read for each row of values of each register
// tile, a buffer of transformed ones is written and read.
int weight_passes(const WinogradShape& s) {
  if (s.in_registers) return s.size() * s.row_parts * s.register_tiles();
  return s.stored || s.kept_for_task() ? 1 : 2;
}

}  // namespace

bool weights_in_level1(const WinogradShape& s, const Machine& machine) {
  const int taps = s.in_registers ? 9 : s.size() * s.size();
  return !s.stored && 4.0 * taps * s.part * s.g.block <= static_cast<double>(machine.level1_bytes);
}

double winograd_cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const WinogradShape s(key, choice, machine);
  const Conv2dGeometry& g = s.g;
  const int values = s.size() * s.size(), oc_vectors = choice["oc_vectors"] * g.block_count;
  const int strips = s.strips(), tiles = s.across * s.tile_rows * strips;
  const double input = input_transform_cycles(s.m) * tiles * g.ic / machine.lanes;
  const double output = output_transform_cycles(s.m) * tiles * oc_vectors;
  const bool kept = !s.stored && !s.in_registers;
  const double weights = kept ? weight_transform_cycles(s.m, g.stored) * g.ic * oc_vectors * s.tasks_of_group() : 0;
  const double once = 16.0 / (s.in_registers ? s.size() / s.row_parts : 1) + 1.5 * choice["oc_vectors"] * s.pixels;
  const double not_spared = static_cast<double>(s.products()) / (values * s.across * s.down);
  const double products =
      g.block_count * strips *
      (products_cycles(s, choice) * not_spared * g.ic + values * s.register_tiles() * once * blocks(g.ic, s.part));
  const double input_bytes = 4.0 * values * tiles * g.ic, all_weights = 4.0 * g.ic * g.block * g.block_count;
  // Nets whose transformed weights are small have all their weights in the caches.
  const double weight_bytes = s.stored ? 0 : s.weight_layout().bytes();
  const double weight_traffic =
      weights_in_level1(s, machine)
          ? 0
          : cache_cycles(all_weights * (s.in_registers ? 7 : values) * weight_passes(s) * s.tasks_of_group());
  const double traffic = input_traffic_cycles(s, input_bytes, machine) + 0.7 * weight_traffic;
  const double work = weights + products + output + traffic;
  const int tasks = s.groups > 0 ? s.tasks_of_group() * s.groups : g.block_count;
  const double arithmetic = s.groups > 0
                                ? parallel_cycles(input * s.groups + work, tasks, machine)
                                : parallel_cycles(input, tiles, machine) + parallel_cycles(work, tasks, machine) +
                                      handed_over_cycles(input_bytes, machine);
  return overlapped_cycles(arithmetic, memory_cycles(weight_bytes, std::min(tasks, machine.threads)));
}

// Both axes of a transform: of all columns that are read, then of all rows that come out.
int64_t winograd_flop(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const WinogradShape s(key, choice, machine);
  const int64_t ic = s.g.ic, oc = s.g.oc, tiles = int64_t{s.across} * s.down, size = s.size(), values = size * size;
  const int64_t input = 2 * size * winograd_operations(winograd_input, s.m) * std::max(s.groups, 1),
                output = (size + s.m) * winograd_operations(winograd_output, s.m),
                taps = s.row_parts == 3 ? 3 + 3 + 1 : 3 * s.row_parts,
                weight = (taps + size) * winograd_operations(winograd_weight, s.m) * weight_rows(s) / size;
  const int64_t parts = ic / s.part, added_up = parts > 1 ? values * parts : 0;
  return int64_t{2} * s.products() * ic * oc + input * tiles * ic + (output + added_up) * tiles * oc +
         (s.stored ? 0 : weight * ic * oc);
}

}  // namespace resnetc
