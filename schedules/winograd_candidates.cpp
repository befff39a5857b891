#include "schedules/winograd_candidates.h"

#include <bit>
#include <set>

#include "schedules/prefetch_weights.h"
#include "schedules/winograd_shape.h"

namespace resnetc {
namespace {

using Shape = WinogradShape;
using Stored = WinogradShape::Stored;
using enum WinogradShape::Stored;

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
  if (stored == never_kept || stored == never_kept_in_parts) return {ic, channel_part(ic, 9 * block, 0.7 * level1)};
  const int weights = (m + 2) * (m + 2) * block;
  return {channel_part(ic, weights, 0.4 * static_cast<double>(machine.level2_bytes)),
          channel_part(ic, weights, level1)};
}

// m = 5 pays where a row of values of three tiles is a register tile: at 14x14, three tiles along an axis, the last of
// which is spared a product. With its 49 weights in a buffer it did not on Granite Rapids, two threads: 28x28x128
// 0.31 ms, m = 4 0.26; 56x56x64 0.34 and 0.20.
bool suits_tile(int m, Stored stored) {
  return m % 2 == 0 || (m == 5 && (stored == never_kept || stored == never_kept_in_parts));
}

// Sums of a register tile and what stands beside them in registers.
int registers_of(int m, int vectors, int pixels, Stored stored, const Machine& machine) {
  if (stored == never_kept || stored == never_kept_in_parts)
    return vectors * pixels * blocks(m + 2, Shape::parts_of_row(m, stored)) + 4;
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
bool can_prefetch(const Shape& s) {
  if (s.stored || s.g.block >= s.g.oc || (s.groups > 0 && s.tile_rows < s.down)) return false;
  const bool whole_lines =
      s.in_registers ? s.lanes_of_taps(s.part) % floats_of_line == 0 : s.g.channels_fill_lines(s.part);
  const bool last_apart = s.groups == 1 && s.g.oc % s.g.block != 0;
  const bool next_weights = s.part < s.g.ic || s.groups == 0 || s.g.block_count / s.groups > (last_apart ? 2 : 1);
  return whole_lines && next_weights && (s.in_registers ? s.part > 1 : s.register_tiles() > 1);
}

// Images of any size are done by strips of a row of tiles; more rows at once must not take memory without bound. All
// rows of ResNets' largest, m = 4, 56x56x128, take 4.5 MB.
bool keeps_memory_small(const Shape& s, const Machine& machine) {
  return (s.groups > 0 && s.tile_rows == 1) || s.strip_bytes() <= 16 * static_cast<double>(machine.level2_bytes);
}

// All places of the work in loops, for one register tile.
void add_orders(std::vector<Choice>& all, const KernelKey& key, const Conv2dGeometry& whole, const Machine& machine,
                int m, int vectors, int pixels, Stored stored) {
  const bool weights_stay = whole.bytes_as_f32() <= 0.5 * static_cast<double>(machine.level2_bytes);
  const int down = blocks(whole.oh, m), block = vectors * machine.lanes;
  // The last strip may be no more than a quarter too long.
  const auto suits = [&](int rows) { return 4 * (blocks(down, rows) * rows - down) <= rows; };
  const auto add = [&](int part, int rows, int groups, bool prefetch, int task_strips = 0) {
    Choice choice{"conv2d_winograd",
                  {{"tile", m},
                   {"oc_vectors", vectors},
                   {"pixels", pixels},
                   {"channel_part", part},
                   {"tile_rows", rows},
                   {"channel_groups", groups},
                   {"stored", stored},
                   {"prefetch", prefetch}}};
    if (task_strips > 0) choice.parameters.emplace_back("task_strips", task_strips);
    const Shape shape(key, choice, machine);
    if ((!prefetch || can_prefetch(shape)) && keeps_memory_small(shape, machine)) all.push_back(std::move(choice));
  };
  for (int part : channel_parts(whole.ic, block, m, stored, machine))
    for (int rows = 1; rows <= down; rows++) {
      if (!suits(rows) || (part != whole.ic && rows != down)) continue;
      for (int groups : channel_groups(blocks(whole.oc, block), machine)) {
        if (groups == 0 && down % rows != 0) continue;
        // Weights that stay in the caches need no prefetching.
        if (!weights_stay) add(part, rows, groups, true);
        add(part, rows, groups, false);
      }
    }
  if (stored != in_buffer) return;
  for (int groups : channel_groups(blocks(whole.oc, block), machine)) {
    if (groups == 0) continue;
    // The transformed weights of a task must leave room in the second-level cache.
    const double bytes = 4.0 * (m + 2) * (m + 2) * whole.ic * round_up(whole.oc, block) / groups;
    if (bytes > 0.7 * static_cast<double>(machine.level2_bytes)) continue;
    for (int rows = 1; rows <= down; rows++) {
      if (!suits(rows)) continue;
      std::set<int> of_task;
      for (int tasks : {machine.threads, 2 * machine.threads})
        of_task.insert(blocks(blocks(down, rows), blocks(tasks, groups)));
      for (int task_strips : of_task) add(whole.ic, rows, groups, false, task_strips);
    }
  }
}

}  // namespace

bool winograd_applies(const KernelKey& key, const Machine& machine) {
  return suits_winograd(key, machine, {1, 1}, machine.lanes);
}

std::vector<Choice> winograd_candidates(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  std::vector<Choice> all;
  for (int m : {4, 2, 5, 6}) {
    if (m > machine.largest_winograd) continue;
    const int tiles = blocks(whole.ow, m) * blocks(whole.oh, m);
    for (int vectors = 1; vectors <= most_oc_vectors; vectors++) {
      const double stored_bytes = 4.0 * (m + 2) * (m + 2) * whole.ic * round_up(whole.oc, vectors * machine.lanes);
      for (Stored stored : {in_buffer, in_file, never_kept, never_kept_in_parts}) {
        if (!suits_tile(m, stored)) continue;
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
    return std::vector<int>{choice["tile"],     choice["channel_groups"] > 0,
                            choice["stored"],   weights_in_level1(Shape(key, choice, machine), machine),
                            choice["prefetch"], choice.value_or("task_strips", 0) > 0};
  });
}

bool winograd_legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  if (!has_parameters(choice, {{"tile", 2, machine.largest_winograd},
                               {"oc_vectors", 1, most_oc_vectors},
                               {"pixels", 1, most_tile_pixels},
                               {"channel_part", 1, whole.ic},
                               {"tile_rows", 1, whole.oh},
                               {"channel_groups", 0, whole.oc},
                               {"stored", in_buffer, never_kept_in_parts},
                               {"prefetch", 0, 1},
                               {"task_strips", 1, whole.oh, true}}))
    return false;
  const int m = choice["tile"], vectors = choice["oc_vectors"], pixels = choice["pixels"];
  const auto stored = static_cast<Stored>(choice["stored"]);
  if (!suits_tile(m, stored) || registers_of(m, vectors, pixels, stored, machine) > machine.registers) return false;
  // What bf16 would make of transformed weights is not what it makes of the weights.
  if (stored == in_file && whole.stored != DType::f32) return false;
  const Shape s(key, choice, machine);
  if (pixels > s.across * s.down || s.tile_rows > s.down) return false;
  // Parts are halves of halves, of whole images; strips of all blocks of channels share no rows.
  if (whole.ic % s.part != 0 || !std::has_single_bit(static_cast<unsigned>(whole.ic / s.part))) return false;
  if (s.part != whole.ic && s.tile_rows != s.down) return false;
  if (s.groups == 0 ? s.down % s.tile_rows != 0 : s.g.block_count % s.groups != 0) return false;
  if (s.kept_for_task())
    return stored == in_buffer && s.groups > 0 && s.part == whole.ic && s.task_strips <= s.strips() &&
           choice["prefetch"] == 0;
  return choice["prefetch"] == 0 || can_prefetch(s);
}

}  // namespace resnetc
