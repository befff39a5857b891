#include "compiler/graph_file.h"

#include <fmt/format.h>

#include "ir/rewrite.h"

namespace resnetc {
namespace {

constexpr int64_t most_parameters = int64_t{1} << 31;

// The nodes of the file but for the input, which is the first of the graph and stands elsewhere in the file.
std::vector<JsonValue> listed_nodes(const JsonValue& json) {
  return json.at("graph").items(0, SIZE_MAX);
}

// Kernel selection makes these; anywhere else the result's layout would not be that of its type.
void check_no_output_op(const JsonValue& json, const Graph& graph) {
  for (size_t i = 1; i < graph.nodes.size(); i++)
    if (std::holds_alternative<Output>(graph.nodes[i].op))
      listed_nodes(json)[i - 1].at("op").fail(
          "an output is made by resnetc alone; remove the node, and name what it reads as the model's output");
}

void check_all_used(const JsonValue& json, const Graph& graph) {
  std::vector<bool> used(graph.nodes.size(), false);
  for (Value v : graph.outputs) used[static_cast<size_t>(v)] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;)
    if (used[i])
      for (Value v : graph.nodes[i].inputs) used[static_cast<size_t>(v)] = true;
  const std::vector<JsonValue> list = listed_nodes(json);
  for (size_t i = 1; i < graph.nodes.size(); i++)
    if (!used[i]) list[i - 1].fail(fmt::format("the output does not need {}; remove it", quote(graph.nodes[i].name)));
  if (!used[0]) json.at("output").fail("does not depend on the input");
}

// The dense layer at the output, or null.
const Node* final_dense(const Graph& graph) {
  const Node& node = graph[graph.outputs[0]];
  return std::holds_alternative<Dense>(node.op) ? &node : nullptr;
}

std::string output_text(const Graph& graph) {
  const Node& node = graph[graph.outputs[0]];
  return fmt::format("the output %{} is a {}", printable(node.name), op_name(node.op));
}

}  // namespace

GraphFile read_graph_file(const JsonValue& json, const std::filesystem::path& file, std::optional<Hw> size) {
  json.allow_keys({"name", "input", "preprocess", "graph", "output", "labels"});
  GraphFile net;
  static_cast<ModelFile&>(net) =
      read_model_file(json, file, {std::begin(graph_input_keys), std::end(graph_input_keys)});
  if (size) set_size(net, *size);
  if (json.at("output").is_array()) json.at("output").fail("must be the name of one node for a model");
  net.graph = graph_from_json(json, net);
  check_no_output_op(json, net.graph);
  check_all_used(json, net.graph);
  if (const int64_t parameters = parameter_count(net.graph); parameters > most_parameters)
    json.at("graph").fail(fmt::format("has {} parameters, at most {} are possible", parameters, most_parameters));
  if (const auto labels = json.find("labels")) {
    const TensorType& type = net.graph[net.graph.outputs[0]].type;
    if (type.is_image())
      labels->fail(fmt::format("the output is an image, {}, which has no classes; leave it out", to_string(type)));
    net.labels = read_labels_path(*labels, file);
  }
  return net;
}

void set_classes(Graph& graph, int classes) {
  const Node* dense = final_dense(graph);
  if (!dense)
    throw Error(fmt::format("--classes {}: {}, and only that of a dense has a number of classes to replace", classes,
                            output_text(graph)));
  const std::vector<int> uses = use_counts(graph);
  for (size_t i = 1; i < dense->inputs.size(); i++)
    if (uses[static_cast<size_t>(dense->inputs[i])] > 1)
      throw Error(fmt::format("--classes {}: %{} is a weight of other nodes too", classes,
                              printable(graph[dense->inputs[i]].name)));
  const std::vector<Value> inputs = dense->inputs;
  for (size_t i = 1; i < inputs.size(); i++) graph.nodes[static_cast<size_t>(inputs[i])].type.dims[0] = classes;
  graph.nodes[static_cast<size_t>(graph.outputs[0])].type = vector_type(classes);
}

void cut_head(Graph& graph) {
  if (graph[graph.outputs[0]].type.is_image()) return;
  const Node* dense = final_dense(graph);
  const Node* pool = dense ? &graph[dense->inputs[0]] : nullptr;
  const bool pools_itself = dense && std::get<Dense>(dense->op).global_average;
  if (!dense || !(pools_itself || std::holds_alternative<GlobalAveragePool>(pool->op)))
    throw Error(
        fmt::format("--no-head: {}; only a dense after a global_average_pool can be left out", output_text(graph)));
  graph.outputs = {pools_itself ? dense->inputs[0] : pool->inputs[0]};
  graph = without_dead_nodes(graph);
}

std::vector<std::string> head_tensors(const Graph& graph) {
  std::vector<std::string> tensors;
  if (const Node* dense = final_dense(graph))
    for (size_t i = 1; i < dense->inputs.size(); i++)
      tensors.push_back(std::get<Weight>(graph[dense->inputs[i]].op).tensor);
  return tensors;
}

}  // namespace resnetc
