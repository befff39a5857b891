#include "tests/support/fill_weights.h"

#include <algorithm>
#include <random>
#include <string_view>

namespace resnetc {
namespace {

// FNV-1a
uint32_t hash(std::string_view text) {
  uint32_t result = 2166136261u;
  for (char c : text) result = (result ^ static_cast<unsigned char>(c)) * 16777619u;
  return result;
}

std::vector<WeightRole> weight_roles(const Graph& graph) {
  std::vector<WeightRole> roles(graph.nodes.size(), WeightRole::plain);
  for (const Node& node : graph.nodes) {
    if (!std::holds_alternative<BatchNorm>(node.op)) continue;
    roles[static_cast<size_t>(node.inputs[1])] = WeightRole::gamma;
    roles[static_cast<size_t>(node.inputs[4])] = WeightRole::variance;
  }
  return roles;
}

}  // namespace

std::vector<float> integer_values(const std::string& tensor, WeightRole role, int64_t count) {
  // Half of the plain ones are zero, so that sums grow slowly.
  static const std::vector<float> choices[] = {{0, 0, 0, 0, 1, 1, -1, -1, 2, -2}, {1, 2}, {1, 4, 16}};
  const std::vector<float>& from = choices[static_cast<size_t>(role)];
  std::mt19937 random(hash(tensor));
  std::vector<float> result(static_cast<size_t>(count));
  for (float& value : result) value = from[random() % from.size()];
  return result;
}

Graph fill_weights(Graph graph) {
  const std::vector<WeightRole> roles = weight_roles(graph);
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    auto* weight = std::get_if<Weight>(&graph.nodes[i].op);
    if (!weight || weight->values) continue;
    weight->values = std::make_shared<const std::vector<float>>(
        integer_values(weight->tensor, roles[i], element_count(graph.nodes[i].type)));
  }
  return graph;
}

Tensor integer_input(const Graph& graph, int batch, unsigned seed) {
  const auto input = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                  [](const Node& node) { return std::holds_alternative<Input>(node.op); });
  Tensor result{input->type.dims, {}};
  result.dims[0] = batch;
  result.values.resize(static_cast<size_t>(batch * element_count(input->type)));
  std::mt19937 random(seed);
  for (float& value : result.values) value = static_cast<float>(static_cast<int>(random() % 5) - 2);
  return result;
}

}  // namespace resnetc
