// dense(global_average_pool(x), w[, b]) -> dense(x, w[, b]) global_average=1   when nothing else reads the pool

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {

Graph fuse_global_average_pool(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    if (!std::holds_alternative<Dense>(node.op) || !read_once<GlobalAveragePool>(rewriter, node.inputs[0]))
      return std::nullopt;
    std::vector<Value> inputs = rewriter.map(node.inputs);
    inputs[0] = rewriter.node(inputs[0]).inputs[0];
    return in_place_of(rewriter, value, Dense{true}, std::move(inputs));
  });
}

}  // namespace resnetc
