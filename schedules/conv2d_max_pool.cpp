// Convolution followed by a max pool, as in the stem of an ImageNet ResNet: rows of the convolution go into a small
// buffer that slides down the image with the pool, so that they never leave the cache.
#include <algorithm>

#include "schedules/conv2d_geometry.h"
#include "schedules/cost.h"

namespace resnetc {
namespace {

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (!conv || !pool_of(*conv)) return false;
  return border_holds_padding(key);
}

// A strip recomputes the rows that it shares with the strip above.
int most_strips(const KernelKey& key) {
  return std::max(1, key.result.height() / 4);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  const int unroll_of_f32 = whole.reduction <= 4 ? whole.reduction : 1;
  std::vector<RegisterTile> tiles = register_tiles(key, whole.ow, unroll_of_f32, machine);
  if (tiles.size() > 6) tiles.resize(6);
  const int most = most_strips(key);
  std::vector<Choice> result;
  for (const RegisterTile& tile : tiles)
    // Four strips a thread balance the threads.
    for (int strips : {std::min(most, 4 * machine.threads), std::min(most, machine.threads)}) {
      const Conv2dGeometry g(key, tile.oc_vectors * machine.lanes, machine.lanes);
      const int unroll = g.has_pairs_of_channels() && unroll_of_f32 == 1 ? 2 : unroll_of_f32;
      Choice choice{"conv2d_max_pool",
                    {{"oc_vectors", tile.oc_vectors}, {"pixels", tile.pixels}, {"unroll", unroll}, {"strips", strips}}};
      if (std::find(result.begin(), result.end(), choice) == result.end()) result.push_back(std::move(choice));
    }
  return result;
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry whole(key, key.operands[1].dims[0]);
  if (!has_parameters(choice, {{"oc_vectors", 1, most_oc_vectors},
                               {"pixels", 1, std::min(whole.ow, most_tile_pixels)},
                               {"unroll", 1, 4},
                               {"strips", 1, most_strips(key)}}))
    return false;
  const Conv2dGeometry g(key, choice["oc_vectors"] * machine.lanes, machine.lanes);
  return is_register_tile(choice["oc_vectors"], choice["pixels"], machine) && g.reduction % choice["unroll"] == 0 &&
         (!g.has_pairs_of_channels() || choice["unroll"] % 2 == 0);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, choice["oc_vectors"] * machine.lanes, machine.lanes);
  const Conv2dOperands operands(key, g);
  const MaxPool& pool = *pool_of(g.conv);

  Halide::Var c("c"), x("x"), y("y"), n("n"), strip("strip"), row("row"), block("block"), xo("xo"), xi("xi");
  Halide::RDom r(0, g.reduction, 0, g.kw, 0, g.kh, "r");
  Halide::Func sum("sum"), rows("rows"), result("result");
  sum(c, x, y, n) = g.has_bias ? Halide::Expr(operands.bias(c)) : Halide::Expr(0.0f);
  sum(c, x, y, n) += window_term(g, operands, c, x * g.conv.stride.w - g.conv.padding.left,
                                 y * g.conv.stride.h - g.conv.padding.top, n, r.x, r.y, r.z);
  rows(c, x, y, n) = apply_epilogue(key, operands, sum(c, x, y, n), c, x, y, n, Halide::Expr(), machine.lanes);
  // Clamping stays inside the window, since every window holds a pixel of the image.
  Halide::Expr best;
  for (int ky = 0; ky < pool.kernel.h; ky++)
    for (int kx = 0; kx < pool.kernel.w; kx++) {
      const Halide::Expr value = rows(c, Halide::clamp(x * pool.stride.w - pool.padding.left + kx, 0, g.ow - 1),
                                      Halide::clamp(y * pool.stride.h - pool.padding.top + ky, 0, g.oh - 1), n);
      best = best.defined() ? Halide::max(best, value) : value;
    }
  result(c, x, y, n) = best;

  bound_result(result, key.result);
  result.bound(c, 0, g.oc).bound(x, 0, key.result.width()).bound(y, 0, key.result.height());
  const int strip_rows = blocks(key.result.height(), choice["strips"]);
  result.split(y, strip, row, strip_rows, Halide::TailStrategy::GuardWithIf).reorder(c, x, row, strip, n);
  if (choice["strips"] > 1) result.parallel(strip);
  result.vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
  // As many rows as a window, so that the size of the buffer does not depend on where a strip begins.
  int kept = 1;
  while (kept < std::max(pool.kernel.h, pool.stride.h)) kept *= 2;
  rows.store_at(result, strip)
      .compute_at(result, row)
      .align_bounds(c, g.block)
      .bound_extent(x, g.ow)
      .fold_storage(y, kept);
  rows.split(c, block, c, g.block)
      .split(x, xo, xi, std::min(choice["pixels"], g.ow), Halide::TailStrategy::ShiftInwards);
  rows.reorder(c, xi, xo, block, y).vectorize(c, machine.lanes).unroll(c).unroll(xi);
  sum.compute_at(rows, xo).store_in(Halide::MemoryType::Register).bound_extent(c, g.block);
  sum.vectorize(c, machine.lanes).unroll(c).unroll(x);
  sum.update().reorder(c, x, r.x, r.y, r.z).vectorize(c, machine.lanes).unroll(c).unroll(x);
  if (choice["unroll"] > 1) sum.update().unroll(r.x, choice["unroll"]);
  return {Halide::Pipeline(result), operands.arguments};
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  return Conv2dGeometry(key, choice["oc_vectors"] * machine.lanes, machine.lanes).pack(operand, values);
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, choice["oc_vectors"] * machine.lanes, machine.lanes);
  const MaxPool& pool = *pool_of(g.conv);
  // The first window of a strip has rows of its own.
  const int rows = g.oh + choice["strips"] * std::max(0, pool.kernel.h - pool.stride.h);
  const double pool_bytes = 4.0 * static_cast<double>(element_count(key.result)) * pool.kernel.h * pool.kernel.w;
  return parallel_cycles(
      rows * register_tile_cycles(g, std::min(choice["pixels"], g.ow), g.ow, choice["unroll"], machine) +
          cache_cycles(pool_bytes),
      choice["strips"], machine);
}

}  // namespace

const Strategy conv2d_max_pool = {"conv2d_max_pool", applies, choices, build, pack, cycles, 1, nullptr, legal};

}  // namespace resnetc
