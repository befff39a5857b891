#include "schedules/gpu.h"

#include <algorithm>
#include <cmath>

#include "schedules/cost.h"

namespace resnetc {

using Halide::Expr;
using Halide::Func;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

Expr as_unsigned(const Expr& a) {
  return Halide::cast<uint32_t>(a);
}

// Without the promise Halide thinks that the cast may have overflowed, and finds no bounds.
Expr from_unsigned(const Expr& a, const Expr& most) {
  return Halide::unsafe_promise_clamped(Halide::cast<int32_t>(a), 0, most);
}

}  // namespace

Expr quotient(const Expr& a, int b, const Expr& most) {
  return b == 1 ? a : from_unsigned(as_unsigned(a) / Expr(static_cast<uint32_t>(b)), most);
}

Expr remainder(const Expr& a, int b) {
  return b == 1 ? Expr(0) : from_unsigned(as_unsigned(a) % Expr(static_cast<uint32_t>(b)), b - 1);
}

int covering_power(int size, int most) {
  int power = 1;
  while (power < size && 2 * power <= most) power *= 2;
  return power;
}

int largest_divisor(int size, int most) {
  int divisor = std::min(size, most);
  while (size % divisor != 0) divisor--;
  return divisor;
}

namespace {

Halide::Stage store_interior(Func& result, const Func& value, const TensorType& type, const Var& c, const Var& n,
                             const Halide::RDom& r) {
  Var x("x"), y("y");
  result(c, x, y, n) = Halide::undef<float>();
  result(c, r.x, r.y, n) = value(c, r.x, r.y, n);
  bound_bordered_result(result, type);
  Halide::Stage store = result.update();
  store.allow_race_conditions();  // each element is written once
  return store;
}

}  // namespace

Interior::Interior(const Func& value, const TensorType& type)
    : Interior(value, type, Halide::RDom(0, type.width(), 0, type.height(), "inside")) {}

Interior::Interior(const Func& value, const TensorType& type, const Halide::RDom& inside)
    : x(inside.x), y(inside.y), store(store_interior(result, value, type, c, n, inside)) {}

Func image_on_gpu(const Func& value, const TensorType& type, const Machine& machine) {
  const int across = covering_power(type.channels(), 64), along = covering_power(type.width(), 256 / across);
  Interior to(value, type);
  Var c_tile("c_tile"), lane("lane");
  RVar x_tile("x_tile"), pixel("pixel"), tiles("tiles");
  to.store.split(to.c, c_tile, lane, across, TailStrategy::GuardWithIf)
      .split(to.x, x_tile, pixel, std::min(along, machine.device_threads / across), TailStrategy::GuardWithIf)
      .reorder(lane, pixel, x_tile, to.y, c_tile, to.n)
      .fuse(x_tile, to.y, tiles)
      .gpu_blocks(tiles, c_tile, to.n)
      .gpu_threads(lane, pixel);
  return to.result;
}

void schedule_vector_on_gpu(Func& result, int channels, const Var& c, const Var& n, const Machine& machine) {
  Var lane("lane");
  result.bound(c, 0, channels)
      .split(c, c, lane, covering_power(channels, std::min(64, machine.device_threads)), TailStrategy::GuardWithIf)
      .reorder(lane, n, c)
      .gpu_blocks(n, c)
      .gpu_threads(lane);
}

Expr weight_block(const Conv2dGeometry& g, const Expr& c, int tile_oc) {
  return g.oc % tile_oc == 0 ? c / g.block : Halide::min(c / g.block, g.block_count - 1);
}

Expr first_sum(const Conv2dGeometry& g, const Conv2dOperands& operands, const Expr& c, int tile_oc) {
  if (!g.has_bias) return 0.0f;
  return g.oc % tile_oc == 0 ? operands.bias(c) : operands.bias(weight_block(g, c, tile_oc) * g.block + c % g.block);
}

void share_among_threads(Func& func, const Var& items, const Var& within, const Var& step, int across, int along,
                         int deep) {
  Var x("x_thread"), y("y_thread"), z("z_thread"), rest("rest");
  func.split(items, rest, x, across, TailStrategy::GuardWithIf)
      .split(rest, rest, y, along, TailStrategy::GuardWithIf)
      .split(rest, step, z, deep, TailStrategy::GuardWithIf)
      .reorder(within, step, x, y, z)
      .gpu_threads(x, y, z)
      .unroll(step);
}

PackedWeight pack_gpu_conv2d(const KernelKey& key, const Choice&, const Machine&, size_t operand,
                             const std::vector<float>& values) {
  return Conv2dGeometry(key, gpu_block_channels).pack(operand, values);
}

double gpu_cycles(double gpu_blocks, const GpuBlock& block, double image_bytes, const Machine& machine) {
  const double multiprocessors = machine.limits.gpu_multiprocessors > 0 ? machine.limits.gpu_multiprocessors : 132;
  constexpr double memory_a_cycle = 1900, cache_a_cycle = 3000, launch = 3000, latency = 800, barriers = 150,
                   stage = 30;
  const double warps = std::ceil(block.threads / 32), registers = 32 * warps * 8 * std::ceil(block.registers / 8);
  const double resident = std::max(
      1.0, std::floor(std::min({64 / warps, 65536 / registers, 32.0, 227 * 1024 / (block.shared_bytes + 1024)})));
  // Four warps' instructions a cycle, most of which multiply and add, the last warp's like those of a whole one; 32
  // floats to or from shared memory, four at a time by each of 8 threads.
  const double issued = block.multiply_adds / 128 + block.shared_reads / 512 + block.staged_floats / 64;
  const double busy = std::max(issued * 32 * warps / block.threads, (block.shared_reads + block.staged_floats) / 32) +
                      stage * block.stages;
  // The fewer sums a thread has, the more warps must take turns.
  const double slowed = std::max(1.0, std::clamp(512 / block.sums, 8.0, 16.0) / warps) * busy;
  const double wait = block.ahead ? std::max(latency - slowed / block.stages, barriers) : latency;
  const double alone = block.stages * wait + slowed;
  const double batch = machine.batch, each = std::ceil(batch * gpu_blocks / multiprocessors),
               rounds = std::ceil(each / resident);
  return (launch + std::max({each * busy, rounds * alone, batch * image_bytes / memory_a_cycle,
                             batch * gpu_blocks * 4 * block.loaded_floats / cache_a_cycle})) /
         batch;
}

int64_t shared_bytes_in_turn(int64_t a, int64_t b, int64_t later) {
  const int64_t to_a = std::abs(later - a), to_b = std::abs(later - b);
  const int64_t in_a = std::max(a, later) + b, in_b = a + std::max(b, later);
  return to_a < to_b ? in_a : to_b < to_a ? in_b : std::max(in_a, in_b);
}

int stride_of_banks(int size, int banks) {
  return size + ((banks - size) % 32 + 32) % 32;
}

int most_gpu_threads(const Machine& machine, int sums) {
  return sums <= 16 ? machine.device_threads_of_few_sums : machine.device_threads;
}

void align_operands(Conv2dOperands& operands, Func& result) {
  constexpr int bytes = 16;
  operands.input.set_host_alignment(bytes);
  for (Halide::ImageParam& residual : operands.residuals) residual.set_host_alignment(bytes);
  result.output_buffer().set_host_alignment(bytes);
}

double operand_bytes(const KernelKey& key, int batch) {
  double elements = static_cast<double>(element_count(key.result));
  for (const TensorType& type : key.operands)
    elements += static_cast<double>(element_count(type)) / (type.is_activation() ? 1 : batch);
  return 4.0 * elements;
}

}  // namespace resnetc
