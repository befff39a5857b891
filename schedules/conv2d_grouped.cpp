// Grouped convolution whose groups are no wider than a vector: the lanes of one vector of output channels span whole
// groups, and no weight outside a group is stored or multiplied. In step s, lane l of a group reads the group's input
// channel (l + s) modulo its width, so that all lanes of a pixel come from one dense load and a shuffle within the
// register; weights are packed in that order. Where a vector is one group, the input is broadcast.
//
// With few channels a group each input that is loaded would serve one multiply-add only. A register tile is therefore a
// piece of one row, and the columns of the window are its innermost loop: an input serves as many output pixels as the
// window has columns (at stride 1), and LLVM keeps it in a register meanwhile.
//
// Zen 3, one thread, ResNeXt-50 (3x3, 32 groups), weights hot, conv2d_direct -> here, of peak: 4 channels a group at
// 56 pixels 28 -> 76 %; 8 at 28 pixels 52 -> 84 %; 8 from 56 to 28 pixels 43 -> 66 %.
#include <algorithm>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"

namespace resnetc {
namespace {

struct GroupedGeometry : Conv2dGeometry {
  GroupedGeometry(const KernelKey& key, const Machine& machine)
      : Conv2dGeometry(key, machine.lanes), group_ic(ic / conv.groups), group_oc(oc / conv.groups) {
    broadcast = group_oc == block;
    lane_groups = std::max(1, block / group_oc);
    reduction = group_ic;
  }
  int group_ic, group_oc;
  bool broadcast;   // all lanes of a block lie in one group
  int lane_groups;  // groups in a block

  // The last block moves back onto channels that the one before it has done: both write the same values.
  int first_output(int b) const { return std::min(b * block, oc - block); }
  Halide::Expr first_output(const Halide::Expr& b) const {
    return oc % block == 0 ? b * block : Halide::min(b * block, oc - block);
  }
  // The input channel of lane l of a group in step s, from the group's first. Without a modulo, which Halide would take
  // apart into strided loads; the clamp changes nothing but tells that no lane reaches out of the group.
  Halide::Expr rotated(const Halide::Expr& l, const Halide::Expr& s) const {
    if (broadcast) return s;
    Halide::Expr channel = l + s;
    for (int wrap = group_ic; wrap <= group_oc + group_ic - 2; wrap += group_ic)
      channel -= Halide::select(l + s >= wrap, group_ic, 0);
    return Halide::clamp(channel, 0, group_ic - 1);
  }
};

bool applies(const KernelKey& key, const Machine& machine) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (!conv || pool_of(*conv) || conv->groups == 1 || conv->interleave != 1 || !border_holds_padding(key)) return false;
  const GroupedGeometry g(key, machine);
  return g.oc >= g.block && g.block % g.group_oc == 0 && g.group_ic <= g.block;
}

// Estimated cycles of a row of output pixels of one block: two multiply-adds a cycle that each take four, and two loads
// a cycle or a little less. Once a tile: addresses, biases, stores.
double row_cycles(const GroupedGeometry& g, int pixels) {
  const int inputs = std::min((pixels - 1) * g.conv.stride.w + g.kw, pixels * g.kw);
  const double widening = g.stored == DType::bf16 ? 0.5 * g.kw : 0;
  const double step = std::max({0.5 * g.kw * pixels, 4.0 * g.kw, 0.6 * (g.kw + inputs) + widening});
  return blocks(g.ow, pixels) * (step * g.group_ic * g.kh + 16.0 + 5.0 * pixels);
}

// Rows of a task. Tasks that all threads finish together, then many of them, each of a million operations at least.
int rows_of_task(const GroupedGeometry& g, const Machine& machine) {
  const double row_flop = 2.0 * g.ow * g.oc * g.group_ic * g.kh * g.kw;
  int best = g.oh;
  int64_t best_time = INT64_MAX;
  for (int rows = g.oh; rows >= 1; rows--) {
    const int tasks = blocks(g.oh, rows);
    if (tasks > 8 * machine.threads || (tasks > machine.threads && rows * row_flop < 1e6)) break;
    const int64_t time = int64_t{blocks(tasks, machine.threads)} * rows;
    if (time <= best_time) best = rows, best_time = time;
  }
  return best;
}

// Of a register tile.
int most_pixels(const GroupedGeometry& g, const Machine& machine) {
  // Beside the sums: the weights of a row of the window, the input at hand and a shuffled one. Steps with shuffles are
  // unrolled, of which a compiler takes only so many.
  const int other = g.kw + (g.broadcast ? 3 : 5) + (machine.fused_multiply_add ? 0 : 1);
  return std::max(std::min(machine.registers - other, g.broadcast ? 28 : 400 / (g.group_ic * g.kw)), 4);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const GroupedGeometry g(key, machine);
  const int most = most_pixels(g, machine);
  std::vector<int> tiles;
  for (int pixels = 1; pixels <= most; pixels++) tiles.push_back(std::min(pixels, g.ow));
  tiles.erase(std::unique(tiles.begin(), tiles.end()), tiles.end());
  std::stable_sort(tiles.begin(), tiles.end(), [&](int a, int b) { return row_cycles(g, a) < row_cycles(g, b); });
  if (tiles.size() > 4) tiles.resize(4);
  // Blocks that follow each other at one tile: whole lines of input are used at once. As many as the second-level cache
  // holds the weights of.
  const double block_bytes = 4.0 * g.block_lanes();
  int together = 1;
  for (int count = 1; count <= g.block_count; count++)
    if (g.block_count % count == 0 && count * block_bytes <= 0.25 * static_cast<double>(machine.level2_bytes))
      together = count;
  std::vector<Choice> result;
  for (int pixels : tiles)
    for (int count : {together, 1}) {
      if (count == 1 && together == 1 && !result.empty() && result.back()["pixels"] == pixels) continue;
      result.push_back(
          {"conv2d_grouped", {{"pixels", pixels}, {"blocks", count}, {"task_rows", rows_of_task(g, machine)}}});
    }
  return result;
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const GroupedGeometry g(key, machine);
  return has_parameters(choice, {{"pixels", 1, std::min(most_pixels(g, machine), g.ow)},
                                 {"blocks", 1, g.block_count},
                                 {"task_rows", 1, g.oh}}) &&
         g.block_count % choice["blocks"] == 0;
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const GroupedGeometry g(key, machine);
  const Conv2dOperands operands(key, g);
  const int tile = std::min(choice["pixels"], g.ow), tiles = blocks(g.ow, tile);
  const int task_rows = choice["task_rows"], tasks = blocks(g.oh, task_rows);

  Halide::Var l("l"), lg("lg"), i("i"), t("t"), y("y"), n("n"), b("b"), c("c"), x("x");
  // The last tile of a row and the last rows move back onto pixels that are done: both write the same values.
  const auto first_pixel = [&](const Halide::Expr& index) {
    return g.ow % tile == 0 ? index * tile : Halide::min(index * tile, g.ow - tile);
  };
  Halide::RDom r(0, g.kw, 0, g.group_ic, 0, g.kh, "r");
  Halide::Func sum("sum"), result("result");
  const int lanes = g.block / g.lane_groups;
  const Halide::Expr lane = lg * lanes + l;
  sum(l, lg, i, t, y, b, n) = g.has_bias ? Halide::Expr(operands.bias(b * g.block + lane)) : Halide::Expr(0.0f);
  sum(l, lg, i, t, y, b, n) +=
      operands.input(g.first_output(b) / g.group_oc * g.group_ic + lg * g.group_ic + g.rotated(l, r.y),
                     (first_pixel(t) + i) * g.conv.stride.w - g.conv.padding.left + r.x * g.conv.dilation.w,
                     y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h, n) *
      operands.weight(lane, r.y, r.x, r.z, b);

  const int inner = choice["blocks"];
  Halide::RDom q({{0, lanes},
                  {0, g.lane_groups},
                  {0, tile},
                  {0, inner},
                  {0, tiles},
                  {0, task_rows},
                  {0, g.block_count / inner},
                  {0, tasks}},
                 "q");
  const Halide::Expr block_index = q[6] * inner + q[3];
  const Halide::Expr channel = g.first_output(block_index) + q[1] * lanes + q[0], column = first_pixel(q[4]) + q[2];
  const Halide::Expr first_row = q[7] * task_rows;
  const Halide::Expr row = (g.oh % task_rows == 0 ? first_row : Halide::min(first_row, g.oh - task_rows)) + q[5];
  const Halide::Expr value = apply_epilogue(key, operands, sum(q[0], q[1], q[2], q[4], row, block_index, n), channel,
                                            column, row, n, row * g.ow + column, machine.lanes);
  result(c, x, y, n) = Halide::undef<float>();
  result(channel, column, row, n) = value;

  bound_result(result, key.result);
  Halide::Stage store = result.update();
  store.reorder(q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], n).allow_race_conditions();
  store.vectorize(q[0]).vectorize(q[1]).unroll(q[2]);
  if (tasks > 1) store.parallel(q[7]);
  sum.compute_at(result, q[3]).store_in(Halide::MemoryType::Register);
  sum.vectorize(l).vectorize(lg).unroll(i);
  sum.update().reorder(l, lg, r.x, i, r.y, r.z);
  sum.update().vectorize(l).vectorize(lg).unroll(r.x).unroll(i);
  if (!g.broadcast) sum.update().unroll(r.y);
  if (g.broadcast && g.stored == DType::bf16 && g.group_ic % 2 == 0) sum.update().unroll(r.y, 2);
  return {Halide::Pipeline(result), operands.arguments};
}

PackedWeight pack(const KernelKey& key, const Choice&, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  const GroupedGeometry g(key, machine);
  PackedWeight packed{operand == 2 ? std::vector<int>{g.block * g.block_count} : g.weight_extent(), {}};
  for (int b = 0; b < g.block_count; b++) {
    const int first = g.first_output(b);
    if (operand == 2) {
      for (int l = 0; l < g.block; l++) packed.values.push_back(values[static_cast<size_t>(first + l)]);
      continue;
    }
    for (int tap = 0; tap < g.kh * g.kw; tap++)
      for (int s = 0; s < g.group_ic; s++)
        for (int l = 0; l < g.block; l++) {
          const int o = first + l, i = g.broadcast ? s : (l % g.group_oc + s) % g.group_ic;
          packed.values.push_back(values[static_cast<size_t>((o * g.kh * g.kw + tap) * g.group_ic + i)]);
        }
  }
  return operand == 2 ? packed : g.weight_layout().stored(std::move(packed));
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const GroupedGeometry g(key, machine);
  const int tasks = blocks(g.oh, choice["task_rows"]);
  const double weight_bytes = g.weight_layout().bytes();
  return overlapped_cycles(parallel_cycles(g.oh * g.block_count * row_cycles(g, choice["pixels"]), tasks, machine),
                           memory_cycles(weight_bytes, std::min(tasks, machine.threads)));
}

}  // namespace

const Strategy conv2d_grouped = {"conv2d_grouped", applies, choices, build, pack, cycles, 1, nullptr, legal};

}  // namespace resnetc
