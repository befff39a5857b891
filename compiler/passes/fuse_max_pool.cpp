// max_pool(conv2d(x, ..)) -> conv2d(x, ..) | max_pool
//
// When x is the graph's input, nothing else reads the conv2d, and it has no max pool yet and no groups, with which
// devices have no kernel. Only there is it sure to pay: the stem's image is the largest of a net and its sums are the
// cheapest to compute again where windows overlap.

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {

Graph fuse_max_pool(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    const auto* pool = std::get_if<MaxPool>(&node.op);
    if (!pool) return std::nullopt;
    const auto* conv = read_once<Conv2d>(rewriter, node.inputs[0]);
    if (!conv || conv->groups != 1 || count_steps<MaxPool>(*conv) > 0) return std::nullopt;
    const Value x = rewriter.node(rewriter.map(node.inputs[0])).inputs[0];
    if (!std::holds_alternative<Input>(rewriter.node(x).op)) return std::nullopt;
    return fuse_into_conv(rewriter, value, node.inputs[0], *pool);
  });
}

}  // namespace resnetc
