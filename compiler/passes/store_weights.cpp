// conv2d(x, w, …) -> conv2d(x, bf16(w), …)     dense(x, w, …) -> dense(x, bf16(w), …)
//
// Each weight becomes the nearest value that bf16 has, ties to even. What the graph computes with these values is its
// new meaning: kernels widen them exactly and add up in float32. Biases stay as they are.

#include <algorithm>
#include <map>

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"
#include "ir/bf16.h"

namespace resnetc {
namespace {

Value add_rounded(Rewriter& rewriter, Value from) {
  const Node node = rewriter.node(from);
  const auto& weight = std::get<Weight>(node.op);
  Weight rounded{weight.tensor + " as bf16", "", nullptr};
  if (weight.values) {
    auto values = std::make_shared<std::vector<float>>(*weight.values);
    round_to_bf16(*values);
    rounded.values = std::move(values);
  }
  return rewriter.to.weight(node.name + ".bf16", std::move(rounded), weight_type(node.type.dims, DType::bf16));
}

}  // namespace

Graph store_weights(const Graph& graph) {
  std::map<Value, Value> rounded;
  return rewrite(graph, [&](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    if (!std::holds_alternative<Conv2d>(node.op) && !std::holds_alternative<Dense>(node.op)) return std::nullopt;
    std::vector<Value> inputs = rewriter.map(node.inputs);
    if (rewriter.node(inputs[1]).type.dtype == DType::bf16) return std::nullopt;
    if (!rounded.contains(inputs[1])) rounded.emplace(inputs[1], add_rounded(rewriter, inputs[1]));
    inputs[1] = rounded.at(inputs[1]);
    return in_place_of(rewriter, value, node.op, std::move(inputs));
  });
}

DType weights_storage(const Graph& graph) {
  const bool bf16 = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                [](const Node& node) { return node.type.dtype == DType::bf16; });
  return bf16 ? DType::bf16 : DType::f32;
}

}  // namespace resnetc
