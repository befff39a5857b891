// The sizes of a Winograd convolution that a choice of conv2d_winograd makes, and what they are estimated to cost.
#pragma once

#include <algorithm>

#include "schedules/conv2d_geometry.h"
#include "schedules/winograd_transforms.h"

namespace resnetc {

struct WinogradShape {
  // Where transformed weights are kept: the parameter "stored".
  enum Stored { in_buffer, in_file, never_kept, never_kept_in_parts };
  // In how many parts a register tile takes a row of m + 2 values: halves; of seven, three, three and one.
  static int parts_of_row(int m, int stored) { return stored != never_kept_in_parts ? 1 : m == 5 ? 3 : 2; }

  WinogradShape(const KernelKey& key, const Choice& choice, const Machine& machine)
      : g(key, choice["oc_vectors"] * machine.lanes, machine.lanes),
        m(choice["tile"]),
        across(blocks(g.ow, m)),
        down(blocks(g.oh, m)),
        pixels(choice["pixels"]),
        part(choice["channel_part"]),
        tile_rows(choice["tile_rows"]),
        groups(choice["channel_groups"]),
        stored(choice["stored"] == in_file),
        in_registers(choice["stored"] == never_kept || choice["stored"] == never_kept_in_parts),
        row_parts(parts_of_row(m, choice["stored"])),
        task_strips(choice.value_or("task_strips", 0)) {}
  int size() const { return m + 2; }
  int values_of_part() const { return blocks(size(), row_parts); }
  // Products along an axis that the last tile of a row or column of tiles does without (winograd_spared). None where
  // register tiles begin at other places in other rows, for each product would have to ask.
  int spared_columns() const { return rows_alike() ? winograd_spared(across * m - g.ow) : 0; }
  int spared_rows() const { return rows_alike() ? winograd_spared(down * m - g.oh) : 0; }
  bool rows_alike() const { return across % pixels == 0 || pixels % across == 0; }
  // Of all tiles, for each input and output channel.
  int products() const { return (size() * across - spared_columns()) * (size() * down - spared_rows()); }
  int strips() const { return blocks(down, tile_rows); }
  // Of a task: transformed inputs and sums of a strip; inputs of the whole image if all channel blocks share them.
  double strip_bytes() const {
    const double tiles = 1.0 * tile_rows * across, input_tiles = groups > 0 ? tiles : 1.0 * down * across;
    return 4.0 * size() * size() * (input_tiles * g.ic + tiles * g.block);
  }
  int register_tiles() const { return blocks(tile_rows * across, pixels); }  // of a strip
  bool kept_for_task() const { return task_strips > 0; }
  // Of each group of channel blocks, each of which transforms the weights of its own blocks; all as one if shared.
  int tasks_of_group() const { return groups > 0 ? blocks(strips(), std::max(task_strips, 1)) : 1; }
  // In registers weights are read tap by tap of each channel, else channel by channel of each tap.
  WeightLayout weight_layout() const {
    if (stored) return {DType::f32, {g.block, g.ic, size() * size(), g.block_count}, g.lanes};
    if (in_registers) return {g.stored, {g.block, 9, g.ic, g.block_count}, g.lanes};
    return g.weight_layout();
  }
  // With weights in registers: the lanes of 32 bits of so many input channels.
  int lanes_of_taps(int channels) const {
    return static_cast<int>(weight_layout().stored_lanes() / (int64_t{g.block_count} * g.ic) * channels);
  }
  Conv2dGeometry g;
  int m;              // a tile is m x m pixels
  int across, down;   // tiles
  int pixels;         // tiles of a register tile
  int part;           // input channels whose products are summed in registers
  int tile_rows;      // that go from products to outputs together
  int groups;         // of channel blocks, for each of which a task transforms its strip; 0: shared
  bool stored;        // weights are stored transformed
  bool in_registers;  // weights are transformed as they are multiplied, a row of values
  int row_parts;      // in so many parts
  int task_strips;    // that a task takes in turn, with all its weights transformed once; 0: one, by blocks
};

// Whether the weights of a part reach the products from the first-level cache: those that the task has transformed, or
// the 3x3 ones that it reads again for each row of values and each few tiles.
bool weights_in_level1(const WinogradShape& shape, const Machine& machine);

// Strategy::cycles and Strategy::executed_flop.
double winograd_cycles(const KernelKey& key, const Choice& choice, const Machine& machine);
int64_t winograd_flop(const KernelKey& key, const Choice& choice, const Machine& machine);

}  // namespace resnetc
