#include "ir/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "ir/bf16.h"

namespace resnetc {
namespace {

bool is_printable_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
}

// Kernels index with 32 bits.
bool is_too_large(const TensorType& type) {
  const int64_t most = std::numeric_limits<int32_t>::max();
  std::vector<int64_t> sides(type.dims.begin(), type.dims.end());
  if (type.is_image()) {
    sides[1] += int64_t{type.border.top} + type.border.bottom;
    sides[2] += int64_t{type.border.left} + type.border.right;
  }
  int64_t count = 1;
  for (int64_t side : sides) {
    if (side > most || count > most) return true;
    count *= side == batch_dimension ? 1 : side;
  }
  return count > most;
}

}  // namespace

void verify_node(const Graph& graph, Value value) {
  const Node& node = graph[value];
  const auto fail = [&](const std::string& what) {
    throw Error(fmt::format("node %{}: {}", printable(node.name), what));
  };
  if (!is_printable_name(node.name)) fail("a name may hold letters, digits, '_', '.' and '-' only");
  std::vector<TensorType> types;
  for (Value v : node.inputs) {
    if (v < 0 || v >= value) fail("an operand is not defined before its use");
    types.push_back(graph[v].type);
  }
  for (size_t i = 0; i < node.type.dims.size(); i++)
    if (node.type.dims[i] < 1 && (i > 0 || node.type.dims[i] != batch_dimension))
      fail(fmt::format("dimensions must be at least 1, got {}", to_string(node.type)));
  const Sides& border = node.type.border;
  if (border != Sides{} && !node.type.is_image()) fail("only an image may have a border");
  if (std::min({border.top, border.left, border.bottom, border.right}) < 0) fail("a border must not be negative");
  if (is_too_large(node.type)) fail(fmt::format("{} has more than 2^31 - 1 elements", to_string(node.type)));

  if (node.type.is_activation() && node.type.dtype != DType::f32)
    fail(fmt::format("an activation is f32, got {}", to_string(node.type)));

  if (std::holds_alternative<Input>(node.op)) {
    if (!node.type.is_image() || !node.inputs.empty()) fail("an input is an image without operands");
    return;
  }
  if (const auto* weight = std::get_if<Weight>(&node.op)) {
    if (node.type.is_activation() || !node.inputs.empty()) fail("a weight has no batch and no operands");
    if (node.type.dims.empty()) fail("a weight has at least one dimension");
    if (!weight->sha256.empty() && !is_printable_name(weight->sha256)) fail("a SHA-256 is written in hexadecimal");
    if (weight->values && static_cast<int64_t>(weight->values->size()) != element_count(node.type))
      fail(fmt::format("{} values for {}", weight->values->size(), to_string(node.type)));
    if (weight->values && node.type.dtype == DType::bf16 &&
        !std::all_of(weight->values->begin(), weight->values->end(), is_bf16))
      fail("a value of a bf16 weight is no bf16");
    return;
  }
  TensorType inferred;
  try {
    inferred = infer(node.op, types);
  } catch (const std::invalid_argument& e) {
    fail(fmt::format("{}: {}", op_name(node.op), e.what()));
  }
  if (inferred.dims != node.type.dims || inferred.dtype != node.type.dtype)
    fail(fmt::format("is {}, but its operands make it {}", to_string(node.type), to_string(inferred)));
}

void verify(const Graph& graph) {
  std::unordered_set<std::string> names;
  int inputs = 0;
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    verify_node(graph, static_cast<Value>(i));
    if (!names.insert(graph.nodes[i].name).second)
      throw Error(fmt::format("node %{}: the name is used twice", printable(graph.nodes[i].name)));
    if (std::holds_alternative<Input>(graph.nodes[i].op)) inputs++;
  }
  if (!is_printable_name(graph.name))
    throw Error(fmt::format("graph {}: a name may hold letters, digits, '_', '.' and '-' only", printable(graph.name)));
  if (inputs != 1) throw Error(fmt::format("graph {}: must have one input, has {}", graph.name, inputs));
  if (graph.outputs.empty()) throw Error(fmt::format("graph {}: returns nothing", graph.name));
  for (Value v : graph.outputs)
    if (v < 0 || static_cast<size_t>(v) >= graph.nodes.size() || !graph[v].type.is_activation())
      throw Error(fmt::format("graph {}: an output must be an activation that is defined", graph.name));
}

}  // namespace resnetc
