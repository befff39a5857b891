// The graph: nodes in execution order, each with one result. Passes are free functions Graph -> Graph.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ir/ops.h"
#include "ir/type.h"

namespace resnetc {

// What a user did wrong, or what his machine lacks. The message names the place and the fix.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A name, which may be any bytes, for a message: the start of a long one, in ASCII.
std::string printable(std::string_view name);

// The index of the node that defines it.
using Value = int;

struct Node {
  std::string name;  // unique within a graph
  Op op;
  std::vector<Value> inputs;
  TensorType type;
  bool operator==(const Node&) const = default;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Value> outputs;
  bool operator==(const Graph&) const = default;

  const Node& operator[](Value value) const { return nodes[static_cast<size_t>(value)]; }
};

// Appends nodes and types each at birth. Throws Error naming the node when operands do not fit.
class Builder {
 public:
  explicit Builder(std::string graph_name) { graph_.name = std::move(graph_name); }

  Value input(std::string name, TensorType type);
  Value weight(std::string name, Weight weight, TensorType type);
  // Any other op. A name that is taken gets a suffix.
  Value add(std::string name, Op op, std::vector<Value> inputs);
  // Appends a node as it is, but for its name if that is taken.
  Value append(Node node);

  const Graph& graph() const { return graph_; }
  Node& node(Value value) { return graph_.nodes[static_cast<size_t>(value)]; }
  Graph finish(std::vector<Value> outputs) &&;

 private:
  Graph graph_;
  std::unordered_set<std::string> names_;
};

// How often each value is read; being an output counts once.
std::vector<int> use_counts(const Graph& graph);

// The type of op's result. Throws std::invalid_argument saying which constraint the operands break. Result has no
// border.
TensorType infer(const Op& op, const std::vector<TensorType>& inputs);

// The type of a convolution's sums, before its epilogue.
TensorType infer_sums(const Conv2d& conv, const TensorType& x, const TensorType& weight);

// Multiply-accumulates for one image, of one node and of the whole graph.
int64_t mac_count(const Graph& graph, Value value);
int64_t mac_count(const Graph& graph);

// Elements in all weights, running statistics of batch norms not counted (as published parameter counts do).
int64_t parameter_count(const Graph& graph);

}  // namespace resnetc
