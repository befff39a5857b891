#include "compiler/inspect/label.h"

#include <fmt/format.h>

#include <algorithm>

namespace resnetc {
namespace {

std::string text(int value) {
  return fmt::format("{}", value);
}
std::string text(bool value) {
  return value ? "yes" : "no";
}
std::string text(double value) {
  return fmt::format("{}", value);
}
std::string text(const Hw& value) {
  return value.h == value.w ? text(value.h) : fmt::format("{}×{}", value.h, value.w);
}
std::string text(const Sides& value) {
  if (value == all_sides(value.top)) return text(value.top);
  return fmt::format("{},{},{},{}", value.top, value.left, value.bottom, value.right);
}

std::string with_spaces(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '_', ' ');
  return result;
}

// The kernel stands after the op's name; padding, which the shapes tell, is left out.
template <class AnyOp>
NodeStep step_of(const AnyOp& op) {
  NodeStep step{std::string(op.op_name), std::string(op.op_name), ""};
  for_each_set_field(op, [&](std::string_view name, const auto& value) {
    if (name == "padding") return;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Hw>)
      if (name == "kernel") {
        step.what += fmt::format(" {}×{}", value.h, value.w);
        return;
      }
    step.detail += fmt::format("{}{} {}", step.detail.empty() ? "" : ", ", with_spaces(name), text(value));
  });
  return step;
}

NodeStep step_of(const Add& add) {
  NodeStep step{std::string(Add::op_name), std::string(Add::op_name), ""};
  if (add.subsample != 1) step.detail = fmt::format("subsample {}", add.subsample);
  if (add.channels_before != 0)
    step.detail += fmt::format("{}pad {}", step.detail.empty() ? "" : ", ", add.channels_before);
  return step;
}

void add_channels(NodeStep& step, int from, int to) {
  step.detail = fmt::format("{} → {}{}{}", from, to, step.detail.empty() ? "" : ", ", step.detail);
}

// Ops with more to say than their attributes.
struct Steps {
  const Graph& graph;
  const Node& node;

  const TensorType& operand(size_t i) const { return graph[node.inputs[i]].type; }

  template <class AnyOp>
  std::vector<NodeStep> operator()(const AnyOp& op) const {
    return {step_of(op)};
  }
  std::vector<NodeStep> operator()(const Conv2d& conv) const {
    const TensorType& weight = operand(1);
    NodeStep sums = step_of(conv);
    sums.what += fmt::format(" {}×{}", weight.dims[1], weight.dims[2]);
    add_channels(sums, operand(0).channels(), weight.dims[0]);
    std::vector<NodeStep> steps = {std::move(sums)};
    for (const Epilogue& step : conv.epilogue)
      steps.push_back(std::visit([](const auto& op) { return step_of(op); }, step));
    if (projection_of(conv)) add_channels(steps[1], operand(3).channels(), weight.dims[0]);
    return steps;
  }
  std::vector<NodeStep> operator()(const ScaleShift& scale) const {
    std::vector<NodeStep> steps = {step_of(ScaleShift{})};
    if (scale.relu) steps.push_back(step_of(Relu{}));
    return steps;
  }
  std::vector<NodeStep> operator()(const Dense& dense) const {
    std::vector<NodeStep> steps;
    if (dense.global_average) steps.push_back(step_of(GlobalAveragePool{}));
    steps.push_back(step_of(Dense{}));
    add_channels(steps.back(), operand(1).dims[1], operand(1).dims[0]);
    return steps;
  }
};

}  // namespace

std::vector<NodeStep> steps_of(const Graph& graph, Value value) {
  const Node& node = graph[value];
  return std::visit(Steps{graph, node}, node.op);
}

std::string steps_text(const Graph& graph, Value value) {
  std::string result;
  for (const NodeStep& step : steps_of(graph, value)) {
    result += fmt::format("{}{}", result.empty() ? "" : " | ", step.what);
    if (!step.detail.empty()) result += ", " + step.detail;
  }
  return result;
}

std::string shape_text(const TensorType& type) {
  if (!type.is_image()) return fmt::format("{}", type.channels());
  return fmt::format("{}×{}×{}", type.height(), type.width(), type.channels());
}

std::string short_number(int64_t number) {
  if (number < 1000) return fmt::format("{}", number);
  auto value = static_cast<double>(number);
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, unit);
}

std::string short_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1023.5) break;
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, unit);
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string shortened(std::string_view text, size_t most) {
  if (character_count(text) <= most || most < 3) return std::string(text);
  const auto is_start = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80; };
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); i++)
    if (is_start(i)) starts.push_back(i);
  const size_t head = (most - 1) / 2, tail = most - 1 - head;
  return std::string(text.substr(0, starts[head])) + "…" + std::string(text.substr(starts[starts.size() - tail]));
}

std::vector<int64_t> parameter_counts(const Graph& graph) {
  std::vector<int64_t> counts(graph.nodes.size(), 0);
  std::vector<bool> counted(graph.nodes.size(), false);
  for (size_t v = 0; v < graph.nodes.size(); v++) {
    const Node& node = graph.nodes[v];
    for (size_t i = 0; i < node.inputs.size(); i++) {
      const Value input = node.inputs[i];
      const bool is_statistic = std::holds_alternative<BatchNorm>(node.op) && i >= 3;
      if (!std::holds_alternative<Weight>(graph[input].op) || is_statistic || counted[static_cast<size_t>(input)])
        continue;
      counted[static_cast<size_t>(input)] = true;
      counts[v] += element_count(graph[input].type);
    }
  }
  return counts;
}

}  // namespace resnetc
