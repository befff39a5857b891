#include "compiler/random_weights.h"

#include <algorithm>
#include <cmath>

#include "ir/bf16.h"

namespace resnetc {
namespace {

// (centre + spread * u) * scale, u uniform in [-1, 1). Where centre is not 0, spread is a power of two, so that no
// product here is rounded before a sum and a fused multiply-add would make no difference.
struct Distribution {
  float centre = 0;
  float spread = 0.125f;
  float scale = 1;
};

Distribution with_variance(double variance) {
  return {0, 1, static_cast<float>(std::sqrt(3 * variance))};
}

// The output function of splitmix64.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// FNV-1a of the name, mixed with the seed.
uint64_t key_of(uint64_t seed, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix(hash + mix(seed + 0x9e3779b97f4a7c15u));
}

std::vector<float> draw(uint64_t key, size_t count, const Distribution& distribution) {
  std::vector<float> values(count);
  const auto value = [&](uint64_t bits) {
    const float u = static_cast<float>(static_cast<int32_t>(bits & 0xffffff) - 0x800000) * 0x1p-23f;
    return (distribution.centre + distribution.spread * u) * distribution.scale;
  };
  for (size_t i = 0; i + 1 < count; i += 2) {
    const uint64_t bits = mix(key += 0x9e3779b97f4a7c15u);
    values[i] = value(bits >> 40);
    values[i + 1] = value(bits);
  }
  if (count % 2 != 0) values[count - 1] = value(mix(key + 0x9e3779b97f4a7c15u) >> 40);
  return values;
}

// How the values of each weight are distributed, by what reads it.
//
// A convolution by He et al.'s variance 2 / inputs doubles the mean square that the ReLU before it has halved. So a
// residual branch has twice that of its input; scaled by 1 / sqrt(2 blocks) in its last batch norm, or else in its last
// convolution, all branches together add about as much as there was.
std::vector<Distribution> distributions(const Graph& graph) {
  std::vector<Distribution> result(graph.nodes.size());
  std::vector<bool> ends_branch(graph.nodes.size(), false);
  const auto is_linear = [&](Value v) {
    const Op& op = graph[v].op;
    return std::holds_alternative<BatchNorm>(op) || std::holds_alternative<Conv2d>(op) ||
           std::holds_alternative<ScaleShift>(op);
  };
  int blocks = 0;
  for (size_t v = 0; v < graph.nodes.size(); v++) {
    const Node& node = graph.nodes[v];
    if (std::holds_alternative<Add>(node.op)) {
      ends_branch[static_cast<size_t>(node.inputs[is_linear(node.inputs[0]) ? 0 : 1])] = true;
      blocks++;
    } else if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
      for (const Epilogue& step : conv->epilogue)
        if (std::holds_alternative<Add>(step)) {
          ends_branch[v] = true;
          blocks++;
        }
    }
  }
  const auto branch_scale = static_cast<float>(1 / std::sqrt(2.0 * std::max(blocks, 1)));
  for (size_t v = 0; v < graph.nodes.size(); v++) {
    const Node& node = graph.nodes[v];
    const float scale = ends_branch[v] ? branch_scale : 1;
    const auto operand = [&](size_t i) -> Distribution& { return result[static_cast<size_t>(node.inputs[i])]; };
    if (std::holds_alternative<Conv2d>(node.op)) {
      const TensorType& type = graph[node.inputs[1]].type;
      operand(1) = with_variance(2.0 * type.dims[0] / static_cast<double>(element_count(type)));
      operand(1).scale *= scale;
      if (node.inputs.size() > 2) operand(2) = {0, 0.125f, scale};
    } else if (std::holds_alternative<BatchNorm>(node.op)) {
      operand(1) = {1, 0.25f, scale};
      operand(2) = {0, 0.125f, scale};
      operand(4) = {1, 0.25f, 1};
    } else if (std::holds_alternative<ScaleShift>(node.op)) {
      operand(1) = {1, 0.25f, scale};
      operand(2) = {0, 0.125f, scale};
    } else if (std::holds_alternative<Dense>(node.op)) {
      operand(1) = with_variance(1.0 / graph[node.inputs[1]].type.dims[1]);
    }
  }
  return result;
}

}  // namespace

void fill_random_weights(Graph& graph, uint64_t seed) {
  const std::vector<Distribution> how = distributions(graph);
  for (size_t v = 0; v < graph.nodes.size(); v++) {
    auto* weight = std::get_if<Weight>(&graph.nodes[v].op);
    if (!weight) continue;
    weight->sha256.clear();
    const TensorType& type = graph.nodes[v].type;
    std::vector<float> values = draw(key_of(seed, weight->tensor), static_cast<size_t>(element_count(type)), how[v]);
    if (type.dtype == DType::bf16) round_to_bf16(values);
    weight->values = std::make_shared<const std::vector<float>>(std::move(values));
  }
}

}  // namespace resnetc
