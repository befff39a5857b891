#include "schedules/key.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ir/verify.h"

namespace resnetc {
namespace {

std::string words(const Sides& value) {
  if (value == all_sides(value.top)) return fmt::format("{}", value.top);
  return fmt::format("{}x{}x{}x{}", value.top, value.left, value.bottom, value.right);
}
std::string words(const Hw& value) {
  return value.h == value.w ? fmt::format("{}", value.h) : fmt::format("{}x{}", value.h, value.w);
}
std::string words(int value) {
  return fmt::format("{}", value);
}
std::string words(bool value) {
  return value ? "1" : "0";
}
std::string words(double) {
  throw std::logic_error("an op with a real attribute has no kernel");
}

std::string words(const TensorType& type) {
  const char kind = type.is_image() ? 'i' : type.is_activation() ? 'v' : 'w';
  std::string result(1, kind);
  for (size_t i = type.is_activation() ? 1 : 0; i < type.dims.size(); i++)
    result += fmt::format("{}{}", result.size() == 1 ? "" : "x", type.dims[i]);
  if (type.border != Sides{}) result += "b" + words(type.border);
  if (type.dtype != DType::f32) result += to_string(type.dtype);
  return result;
}

template <class AnyOp>
std::string attributes(const AnyOp& op) {
  std::string result;
  for_each_set_field(
      op, [&](std::string_view name, const auto& value) { result += fmt::format("_{}{}", name, words(value)); });
  return result;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  KernelKey key() {
    KernelKey key;
    op<0>(key);
    while (!accept("_to_")) {
      expect("_");
      key.operands.push_back(type());
    }
    key.result = type();
    std::visit([&](auto& op) { fields(op); }, key.op);
    if (auto* conv = std::get_if<Conv2d>(&key.op)) epilogue(*conv);
    expect("_f32");
    if (!rest_.empty()) fail();
    return key;
  }

 private:
  std::string_view text_, rest_;

  [[noreturn]] void fail() const {
    throw Error(fmt::format("'{}' is not a kernel key: cannot read '{}'", text_, rest_));
  }
  bool accept(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void expect(std::string_view word) {
    if (!accept(word)) fail();
  }

  int number() {
    int result = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), result);
    if (error != std::errc{} || rest_[0] == '-') fail();
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return result;
  }

  std::vector<int> numbers() {
    std::vector<int> result{number()};
    while (accept("x")) result.push_back(number());
    return result;
  }

  void value(int& result) { result = number(); }
  void value(bool& result) { result = number() != 0; }
  void value(double&) { fail(); }
  void value(Hw& result) {
    const std::vector<int> list = numbers();
    if (list.size() > 2) fail();
    result = {list.front(), list.back()};
  }
  void value(Sides& result) {
    const std::vector<int> list = numbers();
    if (list.size() != 1 && list.size() != 4) fail();
    result = list.size() == 1 ? all_sides(list[0]) : Sides{list[0], list[1], list[2], list[3]};
  }

  TensorType type() {
    TensorType result;
    const bool image = rest_.starts_with("i"), activation = image || rest_.starts_with("v");
    if (!activation && !rest_.starts_with("w")) fail();
    rest_.remove_prefix(1);
    if (activation) result.dims.push_back(batch_dimension);
    for (int d : numbers()) result.dims.push_back(d);
    if (activation && result.dims.size() != (image ? 4 : 2)) fail();
    if (image && accept("b")) value(result.border);
    if (!activation && accept(to_string(DType::bf16))) result.dtype = DType::bf16;
    return result;
  }

  template <size_t I>
  void op(KernelKey& key) {
    if constexpr (I < std::variant_size_v<Op>) {
      using Candidate = std::variant_alternative_t<I, Op>;
      const std::string_view before = rest_;
      if (accept(Candidate::op_name) && rest_.starts_with("_")) {
        key.op = Candidate{};
        return;
      }
      rest_ = before;
      op<I + 1>(key);
    } else {
      fail();
    }
  }

  template <class AnyOp>
  void fields(AnyOp& op) {
    for_each_field(op, [&](std::string_view name, auto& member) {
      if (accept(fmt::format("_{}", name))) value(member);
    });
  }

  template <class Step>
  bool step(Conv2d& conv) {
    if (!accept(fmt::format("_{}", Step::op_name))) return false;
    Step step;
    fields(step);
    conv.epilogue.emplace_back(step);
    return true;
  }

  void epilogue(Conv2d& conv) {
    while (step<Relu>(conv) || step<Add>(conv) || step<MaxPool>(conv) || step<Project>(conv)) continue;
  }
};

}  // namespace

std::string to_string(const KernelKey& key) {
  std::string result(op_name(key.op));
  for (const TensorType& operand : key.operands) result += "_" + words(operand);
  result += "_to_" + words(key.result);
  std::visit([&](const auto& op) { result += attributes(op); }, key.op);
  if (const auto* conv = std::get_if<Conv2d>(&key.op))
    for (const Epilogue& step : conv->epilogue)
      std::visit([&](const auto& op) { result += fmt::format("_{}{}", op.op_name, attributes(op)); }, step);
  return result + "_f32";
}

KernelKey parse_key(std::string_view text) {
  return Parser(text).key();
}

bool reads_f32(const KernelKey& key) {
  return std::all_of(key.operands.begin(), key.operands.end(),
                     [](const TensorType& type) { return type.dtype == DType::f32; });
}

KernelKey key_of(const Graph& graph, Value value) {
  const Node& node = graph[value];
  KernelKey key{node.op, {}, node.type};
  for (Value v : node.inputs) key.operands.push_back(graph[v].type);
  return key;
}

namespace {

// The key's node, behind those of its operands.
Graph graph_of(const KernelKey& key) {
  Graph graph;
  for (const TensorType& type : key.operands)
    graph.nodes.push_back({"operand", type.is_activation() ? Op{Input{}} : Op{Weight{}}, {}, type});
  Node node{"result", key.op, {}, key.result};
  for (size_t i = 0; i < key.operands.size(); i++) node.inputs.push_back(static_cast<Value>(i));
  graph.nodes.push_back(std::move(node));
  return graph;
}

}  // namespace

void verify_key(const KernelKey& key) {
  Graph graph = graph_of(key);
  for (size_t i = 0; i < key.operands.size(); i++) {
    // A vector is no net's input: as an image of one pixel it is.
    TensorType& type = graph.nodes[i].type;
    const TensorType as_it_is = type;
    if (type.is_activation() && !type.is_image()) type.dims = {batch_dimension, 1, 1, type.channels()};
    verify_node(graph, static_cast<Value>(i));
    type = as_it_is;
  }
  verify_node(graph, static_cast<Value>(key.operands.size()));
}

int64_t flop_count(const KernelKey& key) {
  return 2 * mac_count(graph_of(key), static_cast<Value>(key.operands.size()));
}

}  // namespace resnetc
