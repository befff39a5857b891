// Dense layers: each weight is read once an image, in order, by the task that owns its block of outputs. A global
// average pool in front is summed once an image, in the order of the reference evaluator.
#include <algorithm>

#include "schedules/cost.h"
#include "schedules/operands.h"
#include "schedules/weight_layout.h"

namespace resnetc {
namespace {

bool applies(const KernelKey& key, const Machine&) {
  return std::holds_alternative<Dense>(key.op);
}

constexpr int most_vectors = 8;

std::vector<Choice> choices(const KernelKey& key, const Machine& machine) {
  std::vector<Choice> result;
  const int vectors = blocks(key.result.channels(), machine.lanes);
  // Four vectors hide the latency of the multiply-adds; eight also fill whole pages of weights.
  for (int wanted : {most_vectors, 4, 2, 1}) {
    const int oc_vectors = std::min(wanted, blocks(vectors, std::max(1, std::min(machine.threads, vectors))));
    const bool seen =
        std::any_of(result.begin(), result.end(), [&](const Choice& c) { return c["oc_vectors"] == oc_vectors; });
    if (!seen) result.push_back({"dense", {{"oc_vectors", oc_vectors}}});
  }
  return result;
}

bool legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const int vectors = blocks(key.result.channels(), machine.lanes);
  return has_parameters(choice, {{"oc_vectors", 1, std::min(most_vectors, vectors)}});
}

WeightLayout weight_layout(const KernelKey& key, int block, const Machine& machine) {
  const int block_count = blocks(key.result.channels(), block);
  return {key.operands[1].dtype, {block, key.operands[0].channels(), block_count}, machine.lanes};
}

KernelPipeline build(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const TensorType& x_type = key.operands[0];
  const int block = choice["oc_vectors"] * machine.lanes, oc = key.result.channels(), ic = x_type.channels();
  const bool has_bias = key.operands.size() > 2, average = std::get<Dense>(key.op).global_average;
  Halide::ImageParam input = activation_param(x_type, "input");
  const StoredWeight weight(weight_layout(key, block, machine), "weight");
  Halide::ImageParam bias = weight_param({round_up(oc, block)}, "bias");

  Halide::Var c("c"), n("n"), b("b"), lane("lane");
  Halide::Func pooled("pooled"), total("total"), sum("sum"), result("result");
  Halide::RDom r(0, ic, "r");
  if (average) {
    Halide::RDom p(0, x_type.width(), 0, x_type.height(), "p");
    total(c, n) = 0.0f;
    total(c, n) += input(c, p.x, p.y, n);
    pooled(c, n) = total(c, n) / static_cast<float>(x_type.width() * x_type.height());
    pooled.compute_at(result, n)
        .store_in(Halide::MemoryType::Stack)
        .vectorize(c, machine.lanes, Halide::TailStrategy::GuardWithIf);
    total.compute_at(pooled, c).vectorize(c, machine.lanes);
    total.update().vectorize(c, machine.lanes);
  } else {
    pooled(c, n) = input(c, n);
  }
  sum(c, n) = has_bias ? Halide::Expr(bias(c)) : Halide::Expr(0.0f);
  sum(c, n) += pooled(r, n) * weight(c % block, r, c / block);
  result(c, n) = sum(c, n);

  bound_result(result, key.result);
  result.bound(c, 0, oc).split(c, b, lane, block, Halide::TailStrategy::GuardWithIf).reorder(lane, b, n);
  if (blocks(oc, block) > 1 && int64_t{ic} * oc >= 1 << 16) result.parallel(b);
  result.vectorize(lane, machine.lanes).unroll(lane);
  sum.compute_at(result, b)
      .store_in(Halide::MemoryType::Register)
      .bound_extent(c, block)
      .vectorize(c, machine.lanes)
      .unroll(c);
  sum.update().reorder(c, r).vectorize(c, machine.lanes).unroll(c);
  if (weight.layout.pairs_input_channels() && ic % 2 == 0) sum.update().unroll(r, 2);
  KernelPipeline kernel{Halide::Pipeline(result), {input, weight.param}};
  if (has_bias) kernel.arguments.push_back(bias);
  return kernel;
}

PackedWeight pack(const KernelKey& key, const Choice& choice, const Machine& machine, size_t operand,
                  const std::vector<float>& values) {
  const int block = choice["oc_vectors"] * machine.lanes, oc = key.result.channels(), ic = key.operands[0].channels();
  if (operand == 2) return padded_vector(values, round_up(oc, block));
  const WeightLayout stored = weight_layout(key, block, machine);
  PackedWeight packed{stored.extent, {}};
  packed.values.assign(static_cast<size_t>(round_up(oc, block)) * static_cast<size_t>(ic), 0.0f);
  for (int o = 0; o < oc; o++)
    for (int i = 0; i < ic; i++)
      packed.values[(static_cast<size_t>(o / block) * static_cast<size_t>(ic) + static_cast<size_t>(i)) *
                        static_cast<size_t>(block) +
                    static_cast<size_t>(o % block)] =
          values[static_cast<size_t>(o) * static_cast<size_t>(ic) + static_cast<size_t>(i)];
  return stored.stored(std::move(packed));
}

double cycles(const KernelKey& key, const Choice&, const Machine& machine) {
  return traffic_cycles(key, machine);
}

}  // namespace

const Strategy dense = {"dense", applies, choices, build, pack, cycles, 1, nullptr, legal};

}  // namespace resnetc
