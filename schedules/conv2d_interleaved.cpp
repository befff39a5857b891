// Grouped convolution whose groups' channels alternate, so that each lane of a vector is a group: a vector of inputs
// times a vector of weights, for each pair of channels of a group. A register tile has some output channels of each
// group and some pixels of a row; each input serves all of its channels, each weight all of its pixels. A task is some
// rows, which it takes block by block, so that the weights of one stay in the first-level cache.
//
// Granite Rapids, ResNeXt-50 (3x3, 32 groups), tuned conv2d_grouped -> default here, weights cold, one and two threads,
// ms: 4 channels a group at 56 pixels 0.261 -> 0.190 and 0.125 -> 0.090; 8 at 28 pixels 0.205 -> 0.170 and 0.105 ->
// 0.094; 8 from 56 to 28 pixels 0.394 -> 0.251 and 0.181 -> 0.107. With 16 or 32 channels, where a vector lies within a
// group as it is, nothing was won.
#include <algorithm>
#include <numeric>
#include <set>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"

namespace resnetc {
namespace {

using Halide::Expr;

// Vectors that none but whole groups of an interleave share.
int lanes_of(const KernelKey& key, const Machine& machine) {
  return std::gcd(std::get<Conv2d>(key.op).interleave, machine.lanes);
}

// A vector of groups has `lanes` groups: the machine's where they divide the interleave, else fewer. A block has
// `outputs` channels of each group of one of them; the blocks of a vector of groups follow each other.
struct InterleavedGeometry : Conv2dGeometry {
  InterleavedGeometry(const KernelKey& key, int outputs_of_block, const Machine& machine);

  int group_ic, group_oc;
  int outputs;           // divides group_oc
  int blocks_of_vector;  // group_oc / outputs

  // Where the first lane lies of the first input and of the first output channel that a block reads and writes.
  template <class Index>
  Index first_input(const Index& b) const {
    return first_lane(b / blocks_of_vector, group_ic);
  }
  template <class Index>
  Index first_output(const Index& b) const {
    return first_lane(b / blocks_of_vector, group_oc) + b % blocks_of_vector * (outputs * conv.interleave);
  }
  // Of the weights, in an array of weight_extent() whose first dimension is outputs by lanes.
  PackedWeight pack(size_t operand, const std::vector<float>& values) const;

 private:
  template <class Index>
  Index first_lane(const Index& vector, int group_channels) const {
    return vector * lanes / conv.interleave * (group_channels * conv.interleave) + vector * lanes % conv.interleave;
  }
};

InterleavedGeometry::InterleavedGeometry(const KernelKey& key, int outputs_of_block, const Machine& machine)
    : Conv2dGeometry(key, outputs_of_block * lanes_of(key, machine), lanes_of(key, machine)),
      group_ic(ic / conv.groups),
      group_oc(oc / conv.groups),
      outputs(outputs_of_block),
      blocks_of_vector(group_oc / outputs) {
  reduction = group_ic;
}

PackedWeight InterleavedGeometry::pack(size_t operand, const std::vector<float>& values) const {
  if (operand == 2) return padded_vector(values, oc);
  PackedWeight packed{weight_extent(), {}};
  packed.values.reserve(values.size());
  for (int b = 0; b < block_count; b++)
    for (int tap = 0; tap < kh * kw; tap++)
      for (int i = 0; i < group_ic; i++)
        for (int l = 0; l < block; l++) {
          const int o = first_output(b) + l / lanes * conv.interleave + l % lanes;
          packed.values.push_back(values[static_cast<size_t>((int64_t{o} * kh * kw + tap) * group_ic + i)]);
        }
  return weight_layout().stored(std::move(packed));
}

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  return conv && conv->interleave > 1 && border_holds_padding(key);
}

// Sums, an input and a few weights, of which many are memory operands.
bool fits_registers(int outputs, int pixels, const Machine& machine) {
  return outputs * pixels + (machine.fused_multiply_add ? 3 : 4) <= machine.registers;
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const InterleavedGeometry g(key, choice["outputs"], machine);
  const int pixels = choice["pixels"], rows = choice["task_rows"], tasks = blocks(g.oh, rows);
  // As of a tile of conv2d_direct, and its inputs come from the second-level cache. Granite Rapids, two threads: 2.1 to
  // 2.3 cycles a line beside the multiply-adds, 56x56x128, 28x28x256 and 56x56x256 with stride 2, 2 x 14, 4 x 7, 4 x 4.
  const double step = std::max(0.5 * g.outputs * pixels, 4.5) + 0.05 * (g.outputs + pixels);
  int lines = ((pixels - 1) * g.conv.stride.w + g.kw) * g.kh * g.group_ic;
  // So do the weights of a block, unless they stay in the first beside the inputs.
  const int weight_lines = g.block_lanes() / g.lanes;
  if (4 * g.lanes * (lines + weight_lines) > machine.level1_bytes) lines += weight_lines;
  const double line = 2.2 * 4 * g.lanes / 64;
  const double tile = step * g.products() + line * lines + 16.0 + 1.0 * g.outputs * pixels;
  // What all blocks of a vector of groups read again.
  const double input_bytes = 4.0 * ((rows - 1) * g.conv.stride.h + g.kh) * g.input.width() * g.group_ic * g.lanes;
  const double weight_bytes = g.weight_layout().bytes();
  double memory = memory_cycles(weight_bytes, std::min(tasks, machine.threads));
  if (input_bytes > 0.25 * static_cast<double>(machine.level2_bytes))
    memory += cache_cycles(input_bytes) * blocks(tasks * g.block_count, machine.threads);
  const double arithmetic = tile * blocks(g.ow, pixels) * rows * tasks * g.block_count;
  return overlapped_cycles(parallel_cycles(arithmetic, tasks, machine), memory);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const InterleavedGeometry whole(key, 1, machine);
  std::set<int> rows = {whole.oh};
  for (int tasks_of_thread : {1, 2, 4, 8}) rows.insert(blocks(whole.oh, tasks_of_thread * machine.threads));
  std::vector<Choice> all;
  for (int outputs = 1; outputs <= whole.group_oc; outputs++)
    for (int pixels = 1; pixels <= whole.ow && fits_registers(outputs, pixels, machine); pixels++)
      for (int task_rows : rows)
        if (whole.group_oc % outputs == 0)
          all.push_back({"conv2d_interleaved", {{"outputs", outputs}, {"pixels", pixels}, {"task_rows", task_rows}}});
  return few_of_each_kind(ranked(all, key, machine, cycles),
                          [](const Choice& choice) { return std::vector<int>{choice["outputs"]}; });
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const InterleavedGeometry whole(key, 1, machine);
  return has_parameters(choice,
                        {{"outputs", 1, whole.group_oc}, {"pixels", 1, whole.ow}, {"task_rows", 1, whole.oh}}) &&
         whole.group_oc % choice["outputs"] == 0 && fits_registers(choice["outputs"], choice["pixels"], machine);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const InterleavedGeometry g(key, choice["outputs"], machine);
  const Conv2dOperands operands(key, g);
  const int tile = choice["pixels"], tiles = blocks(g.ow, tile);
  const int task_rows = choice["task_rows"], tasks = blocks(g.oh, task_rows);

  Halide::Var l("l"), o("o"), i("i"), t("t"), y("y"), n("n"), b("b"), c("c"), x("x");
  // The last tile of a row and the last rows move back onto pixels that are done: both write the same values.
  const auto moved_back = [](const Expr& index, int size, int all) -> Expr {
    return all % size == 0 ? index * size : Halide::min(index * size, all - size);
  };
  const auto output = [&](const Expr& block, const Expr& of_group, const Expr& lane) {
    return g.first_output(block) + of_group * g.conv.interleave + lane;
  };
  Halide::RDom r(0, g.group_ic, 0, g.kw, 0, g.kh, "r");
  Halide::Func sum("sum"), result("result");
  sum(l, o, i, t, y, b, n) = g.has_bias ? Expr(operands.bias(output(b, o, l))) : Expr(0.0f);
  sum(l, o, i, t, y, b, n) +=
      operands.input(g.first_input(Expr(b)) + r.x * g.conv.interleave + l,
                     (moved_back(t, tile, g.ow) + i) * g.conv.stride.w - g.conv.padding.left + r.y * g.conv.dilation.w,
                     y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h, n) *
      operands.weight(o * g.lanes + l, r.x, r.y, r.z, b);

  Halide::RDom q({{0, g.lanes}, {0, g.outputs}, {0, tile}, {0, tiles}, {0, task_rows}, {0, g.block_count}, {0, tasks}},
                 "q");
  const Expr channel = output(q[5], q[1], q[0]), column = moved_back(q[3], tile, g.ow) + q[2],
             row = moved_back(q[6], task_rows, g.oh) + q[4];
  result(c, x, y, n) = Halide::undef<float>();
  result(channel, column, row, n) = apply_epilogue(key, operands, sum(q[0], q[1], q[2], q[3], row, q[5], n), channel,
                                                   column, row, n, row * g.ow + column, g.lanes);

  bound_result(result, key.result);
  Halide::Stage store = result.update();
  store.reorder(q[0], q[1], q[2], q[3], q[4], q[5], q[6], n).allow_race_conditions();
  store.vectorize(q[0]).unroll(q[1]).unroll(q[2]);
  if (tasks > 1) store.parallel(q[6]);
  sum.compute_at(result, q[3]).store_in(Halide::MemoryType::Register);
  sum.vectorize(l).unroll(o).unroll(i);
  sum.update().reorder(l, o, i, r.x, r.y, r.z).vectorize(l).unroll(o).unroll(i);
  if (g.has_pairs_of_channels()) sum.update().unroll(r.x, 2);
  return {Halide::Pipeline(result), operands.arguments};
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  return InterleavedGeometry(key, choice["outputs"], machine).pack(operand, values);
}

}  // namespace

const Strategy conv2d_interleaved = {"conv2d_interleaved", applies, choices, build, pack, cycles, 1, nullptr, legal};

}  // namespace resnetc
