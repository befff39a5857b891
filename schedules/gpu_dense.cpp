// Dense layers on a device: a block of threads has `outputs` outputs of one image, four to a thread, and `slices`
// threads for each four, which sum a part of the inputs each. What a global average pool in front gives lies in shared
// memory.
#include <algorithm>
#include <cmath>

#include "schedules/gpu.h"

namespace resnetc {
namespace {

using Halide::Expr;
using Halide::Func;
using Halide::MemoryType;
using Halide::TailStrategy;
using Halide::Var;

// Of what the slices have summed, and of what the average pool gives.
int64_t shared_bytes(const KernelKey& key, int outputs, int slices) {
  const int pooled = std::get<Dense>(key.op).global_average ? key.operands[0].channels() : 0;
  return 4 * (int64_t{outputs} * slices + pooled);
}

constexpr int least_outputs = 16;

bool applies(const KernelKey& key, const Machine& machine) {
  return std::holds_alternative<Dense>(key.op) && shared_bytes(key, least_outputs, 1) <= machine.device_shared_bytes;
}

double cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const TensorType& x = key.operands[0];
  const double ic = x.channels(), outputs = choice["outputs"],
               pixels = std::get<Dense>(key.op).global_average ? x.width() * x.height() : 0;
  GpuBlock block;
  block.threads = outputs / 4 * choice["slices"];
  block.sums = 4;
  block.registers = 48;
  // Each block averages the image again; eight weights are on their way at a time.
  block.multiply_adds = ic * (1.5 * outputs + 0.5 * pixels);
  block.loaded_floats = ic * (outputs + pixels);
  block.stages = 2 + ic / choice["slices"] / 8 + (pixels > 0 ? std::ceil(ic / 4 / block.threads) : 0);
  return gpu_cycles(std::ceil(key.result.channels() / outputs), block, operand_bytes(key, machine.batch), machine);
}

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  std::vector<Choice> result;
  for (int outputs : {least_outputs, 32, 64, 128, 256})
    for (int slices : {64, 32, 16, 8, 4}) {
      if (outputs > least_outputs && outputs / 2 >= key.result.channels()) continue;
      if (outputs / 4 * slices > machine.device_threads || slices > key.operands[0].channels()) continue;
      if (shared_bytes(key, outputs, slices) > machine.device_shared_bytes) continue;
      result.push_back({"gpu_dense", {{"outputs", outputs}, {"slices", slices}}});
    }
  if (result.empty()) result.push_back({"gpu_dense", {{"outputs", least_outputs}, {"slices", 1}}});
  return ranked(result, key, machine, cycles);
}

std::vector<int> weight_extent(const KernelKey& key) {
  return {gpu_block_channels, key.operands[0].channels(), blocks(key.result.channels(), gpu_block_channels)};
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine&) {
  const TensorType& x_type = key.operands[0];
  const int oc = key.result.channels(), ic = x_type.channels(), block = gpu_block_channels;
  const int outputs = choice["outputs"], slices = choice["slices"], slice = blocks(ic, slices);
  const bool has_bias = key.operands.size() > 2, average = std::get<Dense>(key.op).global_average;
  Halide::ImageParam input = activation_param(x_type, "input");
  Halide::ImageParam weight = weight_param(weight_extent(key), "weight");
  Halide::ImageParam bias = weight_param({round_up(oc, block)}, "bias");

  Var c("c"), n("n"), s("s"), c_tile("c_tile"), lane("lane"), four("four"), part("part");
  Func pooled("pooled"), total("total"), partial("partial"), shares("shares"), result("result");
  if (average) {
    Halide::RDom p(0, x_type.width(), 0, x_type.height(), "p");
    total(c, n) = 0.0f;
    total(c, n) += input(c, p.x, p.y, n);
    pooled(c, n) = total(c, n) / static_cast<float>(x_type.width() * x_type.height());
    total.update().reorder(c, p.x, p.y, n);
    if (x_type.width() <= 8) total.update().unroll(p.x);
    if (x_type.width() * x_type.height() <= 64) total.update().unroll(p.y);
  } else {
    pooled(c, n) = input(c, n);
  }
  Halide::RDom r(0, slice, "r");
  const Expr k = s * slice + r;
  const Expr product = pooled(Halide::min(k, ic - 1), n) *
                       weight(c % block, Halide::min(k, ic - 1), Halide::min(c / block, (oc - 1) / block));
  partial(c, s, n) = 0.0f;
  partial(c, s, n) += ic % slices == 0 ? product : Halide::select(k < ic, product, 0.0f);
  shares(c, s, n) = partial(c, s, n);
  Expr sum = has_bias ? Expr(bias(c)) : Expr(0.0f);
  for (int i = 0; i < slices; i++) sum += shares(c, i, n);
  result(c, n) = sum;

  bound_result(result, key.result);
  result.bound(c, 0, oc)
      .split(c, c_tile, lane, outputs, TailStrategy::GuardWithIf)
      .split(lane, four, lane, outputs / 4)
      .reorder(four, lane, n, c_tile)
      .gpu_blocks(n, c_tile)
      .gpu_threads(lane)
      .unroll(four);
  shares.compute_at(result, n)
      .store_in(MemoryType::GPUShared)
      .bound_extent(c, outputs)
      .split(c, c, four, 4)
      .gpu_threads(c, s)
      .vectorize(four);
  partial.compute_at(shares, c)
      .store_in(MemoryType::Register)
      .vectorize(c, 4)
      .update()
      .reorder(c, r, s, n)
      .vectorize(c, 4);
  if (slice % 8 == 0) partial.update().unroll(r, 8);
  if (average) {
    input.set_host_alignment(16);
    const int width = ic % 4 == 0 ? 4 : 1;
    pooled.compute_at(result, n)
        .store_in(MemoryType::GPUShared)
        .bound_extent(c, ic)
        .split(c, c, four, width)
        .split(c, part, lane, outputs / 4 * slices, TailStrategy::GuardWithIf)
        .split(lane, s, lane, outputs / 4)
        .reorder(four, lane, s, part)
        .gpu_threads(lane, s)
        .vectorize(four);
    total.compute_at(pooled, lane).vectorize(c, width).update().vectorize(c, width);
  }
  KernelPipeline kernel{Halide::Pipeline(result), {input, weight}};
  if (has_bias) kernel.arguments.push_back(bias);
  return kernel;
}

PackedWeight pack(const KernelKey& key, const Choice&, const Machine&, size_t operand,
                  const std::vector<float>& values) {
  const int oc = key.result.channels();
  const auto ic = static_cast<size_t>(key.operands[0].channels()), block = static_cast<size_t>(gpu_block_channels);
  if (operand == 2) return padded_vector(values, round_up(oc, gpu_block_channels));
  PackedWeight packed{weight_extent(key), {}};
  packed.values.assign(static_cast<size_t>(round_up(oc, gpu_block_channels)) * ic, 0.0f);
  for (size_t o = 0; o < static_cast<size_t>(oc); o++)
    for (size_t i = 0; i < ic; i++) packed.values[(o / block * ic + i) * block + o % block] = values[o * ic + i];
  return packed;
}

}  // namespace

const Strategy gpu_dense = {"gpu_dense", applies, choices, build, pack, cycles, 2};

}  // namespace resnetc
