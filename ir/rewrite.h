// Rewriting: passes rebuild a graph forward and keep only what its outputs reach.
#pragma once

#include <functional>
#include <optional>

#include "ir/graph.h"

namespace resnetc {

// The graph under construction, as a rule sees it.
class Rewriter {
 public:
  explicit Rewriter(const Graph& from);

  const Graph& from;            // without dead nodes, so that they do not count as uses
  const std::vector<int> uses;  // of the values of `from`

  Value map(Value old_value) const { return mapped_[static_cast<size_t>(old_value)]; }
  std::vector<Value> map(const std::vector<Value>& old_values) const;
  const Node& node(Value new_value) const { return to.graph()[new_value]; }

  Builder to;

 private:
  friend Graph rewrite(const Graph&, const std::function<std::optional<Value>(Rewriter&, Value)>&);
  std::vector<Value> mapped_;
};

// Called for every node that an output needs, in order: returns the new value that stands for it, or nothing to copy
// the node.
using Rule = std::function<std::optional<Value>(Rewriter&, Value old_value)>;

Graph rewrite(const Graph& graph, const Rule& rule);

// The graph without the nodes that no output needs; inputs stay.
Graph without_dead_nodes(const Graph& graph);

}  // namespace resnetc
