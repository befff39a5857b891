// Convolution on a device in which each output channel reads the channels of its own group alone: each thread sums
// register_oc channels by register_pixels pixels of a row, whose operands come through the cache.
#include <algorithm>
#include <cmath>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

bool applies(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  return conv && !pool_of(*conv) && conv->groups > 1 && conv->interleave == 1 && border_holds_padding(key);
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const double own = choice["register_oc"] * choice["register_pixels"];
  const double loads = 1.0 / choice["register_oc"] + 1.0 / choice["register_pixels"];
  const double block_pixels = choice["register_pixels"] * choice["threads_x"];
  const double tiles =
      blocks(g.oc, choice["register_oc"] * choice["threads_c"]) * g.oh * std::ceil(g.ow / block_pixels);
  const double steps = static_cast<double>(g.ic) / g.conv.groups * g.kh * g.kw;
  GpuBlock block;
  block.threads = choice["threads_c"] * choice["threads_x"];
  block.multiply_adds = own * block.threads * steps * 2.0 * (1.0 + 2.0 * loads);
  return gpu_cycles(tiles, block, operand_bytes(key, machine.batch), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  const Conv2dGeometry g(key, gpu_block_channels);
  std::vector<Choice> result;
  for (int register_oc : {1, 2, 4}) {
    // The channels of one thread read the same inputs.
    if (g.oc / g.conv.groups % register_oc != 0) continue;
    for (int register_pixels : {1, 2, 4, 7}) {
      if (register_pixels > g.ow) continue;
      const int across = covering_power(blocks(g.oc, register_oc), 32),
                along = covering_power(blocks(g.ow, register_pixels), std::min(8, machine.device_threads / across));
      result.push_back({"gpu_conv2d_grouped",
                        {{"register_oc", register_oc},
                         {"register_pixels", register_pixels},
                         {"threads_c", across},
                         {"threads_x", along}}});
    }
  }
  return ranked(result, key, machine, cycles);
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const Conv2dGeometry g(key, gpu_block_channels);
  const Conv2dOperands operands(key, g);
  const int group_oc = g.oc / g.conv.groups, group_ic = g.ic / g.conv.groups;
  Var c("c"), x("x"), y("y"), n("n");
  Halide::RDom r(0, group_ic, 0, g.kw, 0, g.kh, "r");
  Func sum("sum"), value("value");
  const Expr first = c / group_oc * group_ic, block = c / g.block;
  // Among the channels that the block of weights has.
  const Expr in_block = Halide::unsafe_promise_clamped(first - g.first_channel(block) + r.x, 0, g.reduction - 1);
  sum(c, x, y, n) = g.has_bias ? Expr(operands.bias(c)) : Expr(0.0f);
  sum(c, x, y, n) += operands.input(first + r.x, x * g.conv.stride.w - g.conv.padding.left + r.y * g.conv.dilation.w,
                                    y * g.conv.stride.h - g.conv.padding.top + r.z * g.conv.dilation.h, n) *
                     operands.weight(c % g.block, in_block, r.y, r.z, block);
  value(c, x, y, n) = apply_epilogue(key, operands, sum(c, x, y, n), c, x, y, n, Expr(), 1);

  Interior to(value, key.result);
  Var c_tile("c_tile"), c_own("c_own"), c_thread("c_thread");
  RVar x_tile("x_tile"), x_own("x_own"), x_thread("x_thread"), tiles("tiles");
  to.result.bound(to.c, 0, g.oc);
  to.store.split(to.c, c_tile, c_own, choice["register_oc"], TailStrategy::RoundUp)
      .split(c_tile, c_tile, c_thread, choice["threads_c"], TailStrategy::GuardWithIf)
      .split(to.x, x_tile, x_own, choice["register_pixels"], TailStrategy::GuardWithIf)
      .split(x_tile, x_tile, x_thread, choice["threads_x"], TailStrategy::GuardWithIf)
      .reorder(c_own, x_own, c_thread, x_thread, x_tile, to.y, c_tile, to.n)
      .fuse(x_tile, to.y, tiles)
      .gpu_blocks(tiles, c_tile, to.n)
      .gpu_threads(c_thread, x_thread)
      .unroll(c_own)
      .unroll(x_own);
  sum.compute_at(to.result, c_thread)
      .store_in(Halide::MemoryType::Register)
      .bound_extent(c, choice["register_oc"])
      .bound_extent(x, choice["register_pixels"])
      .unroll(c)
      .unroll(x);
  sum.update().reorder(c, x, r.x, r.y, r.z).unroll(c).unroll(x);
  return {Halide::Pipeline(to.result), operands.arguments};
}

}  // namespace

const Strategy gpu_conv2d_grouped = {"gpu_conv2d_grouped", applies, choices, build, pack_gpu_conv2d, cycles};

}  // namespace resnetc
