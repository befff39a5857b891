#include "ir/graph.h"

#include <fmt/format.h>

namespace resnetc {

int64_t element_count(const TensorType& type) {
  int64_t count = 1;
  for (int d : type.dims) count *= d == batch_dimension ? 1 : d;
  return count;
}

int64_t stored_element_count(const TensorType& type) {
  if (!type.is_image()) return element_count(type);
  const int64_t rows = int64_t{type.border.top} + type.height() + type.border.bottom;
  const int64_t columns = int64_t{type.border.left} + type.width() + type.border.right;
  return rows * columns * type.channels();
}

Value Builder::append(Node node) {
  const std::string wanted = node.name;
  for (int suffix = 2; !names_.insert(node.name).second; suffix++) node.name = fmt::format("{}.{}", wanted, suffix);
  graph_.nodes.push_back(std::move(node));
  return static_cast<Value>(graph_.nodes.size()) - 1;
}

Value Builder::input(std::string name, TensorType type) {
  return append({std::move(name), Input{}, {}, std::move(type)});
}

std::string printable(std::string_view name) {
  constexpr size_t most = 100;
  std::string result(name.substr(0, most));
  for (char& c : result)
    if (c < ' ' || c > '~') c = '?';
  return name.size() > most ? result + "..." : result;
}

Value Builder::weight(std::string name, Weight weight, TensorType type) {
  return append({std::move(name), std::move(weight), {}, std::move(type)});
}

Value Builder::add(std::string name, Op op, std::vector<Value> inputs) {
  std::vector<TensorType> types;
  for (Value v : inputs) types.push_back(graph_[v].type);
  TensorType type;
  try {
    type = infer(op, types);
  } catch (const std::invalid_argument& e) {
    throw Error(fmt::format("node %{}: {}: {}", printable(name), op_name(op), e.what()));
  }
  return append({std::move(name), std::move(op), std::move(inputs), std::move(type)});
}

Graph Builder::finish(std::vector<Value> outputs) && {
  graph_.outputs = std::move(outputs);
  return std::move(graph_);
}

std::vector<int> use_counts(const Graph& graph) {
  std::vector<int> uses(graph.nodes.size(), 0);
  for (const Node& node : graph.nodes)
    for (Value v : node.inputs) uses[static_cast<size_t>(v)]++;
  for (Value v : graph.outputs) uses[static_cast<size_t>(v)]++;
  return uses;
}

int64_t mac_count(const Graph& graph, Value value) {
  const Node& node = graph[value];
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
    const TensorType& weight = graph[node.inputs[1]].type;
    const TensorType out = infer_sums(*conv, graph[node.inputs[0]].type, weight);
    return element_count(out) * weight.dims[1] * weight.dims[2] * weight.dims[3];
  }
  if (std::holds_alternative<Dense>(node.op)) return element_count(graph[node.inputs[1]].type);
  return 0;
}

int64_t mac_count(const Graph& graph) {
  int64_t sum = 0;
  for (size_t v = 0; v < graph.nodes.size(); v++) sum += mac_count(graph, static_cast<Value>(v));
  return sum;
}

int64_t parameter_count(const Graph& graph) {
  std::vector<bool> statistic(graph.nodes.size(), false);
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<BatchNorm>(node.op))
      for (size_t i : {size_t{3}, size_t{4}}) statistic[static_cast<size_t>(node.inputs[i])] = true;
  int64_t sum = 0;
  for (size_t v = 0; v < graph.nodes.size(); v++)
    if (std::holds_alternative<Weight>(graph.nodes[v].op) && !statistic[v]) sum += element_count(graph.nodes[v].type);
  return sum;
}

}  // namespace resnetc
