#include "ir/rewrite.h"

namespace resnetc {

Rewriter::Rewriter(const Graph& graph)
    : from(graph), uses(use_counts(graph)), to(graph.name), mapped_(graph.nodes.size(), -1) {}

std::vector<Value> Rewriter::map(const std::vector<Value>& old_values) const {
  std::vector<Value> result;
  for (Value v : old_values) result.push_back(map(v));
  return result;
}

Graph rewrite(const Graph& unpruned, const Rule& rule) {
  const Graph graph = without_dead_nodes(unpruned);
  Rewriter rewriter(graph);
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    const auto old_value = static_cast<Value>(i);
    const std::optional<Value> replacement = rule(rewriter, old_value);
    if (replacement) {
      rewriter.mapped_[i] = *replacement;
    } else {
      Node copy = graph.nodes[i];
      copy.inputs = rewriter.map(copy.inputs);
      rewriter.mapped_[i] = rewriter.to.append(std::move(copy));
    }
  }
  return without_dead_nodes(std::move(rewriter.to).finish(rewriter.map(graph.outputs)));
}

Graph without_dead_nodes(const Graph& graph) {
  std::vector<bool> live(graph.nodes.size(), false);
  for (Value v : graph.outputs) live[static_cast<size_t>(v)] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (std::holds_alternative<Input>(graph.nodes[i].op)) live[i] = true;
    if (!live[i]) continue;
    for (Value v : graph.nodes[i].inputs) live[static_cast<size_t>(v)] = true;
  }
  Graph result;
  result.name = graph.name;
  std::vector<Value> mapped(graph.nodes.size(), -1);
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    if (!live[i]) continue;
    mapped[i] = static_cast<Value>(result.nodes.size());
    result.nodes.push_back(graph.nodes[i]);
    for (Value& v : result.nodes.back().inputs) v = mapped[static_cast<size_t>(v)];
  }
  for (Value v : graph.outputs) result.outputs.push_back(mapped[static_cast<size_t>(v)]);
  return result;
}

}  // namespace resnetc
