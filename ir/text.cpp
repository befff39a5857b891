#include "ir/text.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "ir/verify.h"

namespace resnetc {
namespace {

// ---- print

std::string text(int value) {
  return fmt::format("{}", value);
}
std::string text(bool value) {
  return value ? "1" : "0";
}
std::string text(double value) {
  return fmt::format("{}", value);
}
std::string text(const Hw& value) {
  return value.h == value.w ? fmt::format("{}", value.h) : fmt::format("[{},{}]", value.h, value.w);
}
std::string text(const Sides& value) {
  if (value == all_sides(value.top)) return fmt::format("{}", value.top);
  return fmt::format("[{},{},{},{}]", value.top, value.left, value.bottom, value.right);
}

std::string quoted(const std::string& value) {
  std::string result = "\"";
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + '"';
}

template <class AnyOp>
std::string attributes(const AnyOp& op) {
  std::string result;
  for_each_set_field(
      op, [&](std::string_view name, const auto& value) { result += fmt::format(" {}={}", name, text(value)); });
  return result;
}

std::string operands(const Graph& graph, const std::vector<Value>& values, size_t first, size_t last) {
  std::string result;
  for (size_t i = first; i < last; i++) result += fmt::format("{}%{}", i == first ? "" : ", ", graph[values[i]].name);
  return result;
}

std::string print_epilogue(const Graph& graph, const Node& node, const Conv2d& conv, size_t residual) {
  std::string result;
  for (const Epilogue& step : conv.epilogue) {
    std::visit(
        [&](const auto& op) {
          result += fmt::format(" | {}", op.op_name);
          if (step_operands(op) > 0) result += fmt::format("(%{})", graph[node.inputs[residual++]].name);
          result += attributes(op);
        },
        step);
  }
  return result;
}

// ---- parse

class Parser {
 public:
  explicit Parser(std::string_view source) : rest_(source) {}

  Graph graph() {
    expect_word("graph");
    graph_.name = name();
    expect("{");
    while (peek() == '%') node();
    expect_word("return");
    do {
      graph_.outputs.push_back(operand());
    } while (accept(","));
    expect("}");
    skip_blanks();
    if (!rest_.empty()) fail("nothing may follow the graph");
    checked(line_, [&] { verify(graph_); });
    return std::move(graph_);
  }

 private:
  std::string_view rest_;
  int line_ = 1;
  Graph graph_;
  std::map<std::string, Value, std::less<>> values_;

  [[noreturn]] void fail(std::string_view what) const { throw Error(fmt::format("line {}: {}", line_, what)); }

  // Runs check, whose errors name no line.
  template <class Check>
  void checked(int line, const Check& check) {
    try {
      check();
    } catch (const Error& e) {
      line_ = line;
      fail(e.what());
    }
  }

  // What comes next, for messages.
  std::string next() const {
    if (rest_.empty()) return "the end";
    std::string result;
    for (char c : rest_.substr(0, std::min<size_t>(rest_.find('\n'), 12))) result += c >= ' ' && c <= '~' ? c : '?';
    return fmt::format("'{}'", result);
  }

  void skip_blanks() {
    while (!rest_.empty()) {
      if (rest_[0] == '#') {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else if (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r' || rest_[0] == '\n') {
        line_ += rest_[0] == '\n';
        rest_.remove_prefix(1);
      } else {
        return;
      }
    }
  }

  char peek() {
    skip_blanks();
    return rest_.empty() ? '\0' : rest_[0];
  }

  bool accept(std::string_view token) {
    skip_blanks();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) fail(fmt::format("expected '{}' before {}", token, next()));
  }

  void expect_word(std::string_view wanted) {
    const std::string found = name();
    if (found != wanted) fail(fmt::format("expected '{}', got '{}'", wanted, printable(found)));
  }

  DType dtype() {
    const std::string found = name();
    for (DType dtype : {DType::f32, DType::bf16})
      if (found == to_string(dtype)) return dtype;
    fail(fmt::format("expected 'f32' or 'bf16', got '{}'", printable(found)));
  }

  std::string name() {
    skip_blanks();
    size_t length = 0;
    while (length < rest_.size() && (isalnum(static_cast<unsigned char>(rest_[length])) || rest_[length] == '_' ||
                                     rest_[length] == '.' || rest_[length] == '-'))
      length++;
    if (length == 0) fail(fmt::format("expected a name before {}", next()));
    std::string result(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return result;
  }

  Value operand() {
    expect("%");
    const std::string wanted = name();
    const auto found = values_.find(wanted);
    if (found == values_.end()) fail(fmt::format("%{} is not defined before its use", printable(wanted)));
    return found->second;
  }

  template <class Number>
  Number number() {
    skip_blanks();
    Number result{};
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), result);
    if (error == std::errc::result_out_of_range) fail(fmt::format("the number at {} is out of range", next()));
    if (error != std::errc{}) fail(fmt::format("expected a number before {}", next()));
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return result;
  }

  std::vector<int> bracketed() {
    std::vector<int> result;
    expect("[");
    do {
      if (result.empty() && accept("n")) {
        result.push_back(batch_dimension);
      } else {
        const int d = number<int>();
        if (d < 0) fail("a negative number has no place here");
        result.push_back(d);
      }
    } while (accept(","));
    expect("]");
    return result;
  }

  void value(int& result) { result = number<int>(); }
  void value(bool& result) {
    const int digit = number<int>();
    if (digit != 0 && digit != 1) fail("expected 0 or 1");
    result = digit == 1;
  }
  void value(double& result) { result = number<double>(); }
  void value(Hw& result) {
    if (peek() != '[') {
      result.h = result.w = number<int>();
      return;
    }
    const std::vector<int> list = bracketed();
    if (list.size() != 2) fail("expected [height,width]");
    result = {list[0], list[1]};
  }
  void value(Sides& result) {
    if (peek() != '[') {
      result = all_sides(number<int>());
      return;
    }
    const std::vector<int> list = bracketed();
    if (list.size() != 4) fail("expected [top,left,bottom,right]");
    result = {list[0], list[1], list[2], list[3]};
  }

  template <class AnyOp>
  void attributes(AnyOp& op) {
    while (isalpha(static_cast<unsigned char>(peek()))) {
      const std::string wanted = name();
      expect("=");
      bool known = false;
      for_each_field(op, [&](std::string_view field, auto& member) {
        if (field != wanted) return;
        known = true;
        value(member);
      });
      if (!known) fail(fmt::format("{} has no attribute '{}'", op.op_name, printable(wanted)));
    }
  }

  std::string quoted() {
    expect("\"");
    std::string result;
    while (!rest_.empty() && rest_[0] != '"' && rest_[0] != '\n') {
      if (rest_[0] != '\\') {
        result += rest_[0];
        rest_.remove_prefix(1);
      } else if (rest_.size() >= 4 && rest_[1] == 'x') {
        unsigned byte = 0;
        if (std::from_chars(rest_.data() + 2, rest_.data() + 4, byte, 16).ptr != rest_.data() + 4) fail("bad escape");
        result += static_cast<char>(byte);
        rest_.remove_prefix(4);
      } else if (rest_.size() >= 2 && (rest_[1] == '"' || rest_[1] == '\\')) {
        result += rest_[1];
        rest_.remove_prefix(2);
      } else {
        fail("bad escape");
      }
    }
    if (rest_.empty() || rest_[0] != '"') fail("a string ends on its line");
    rest_.remove_prefix(1);
    return result;
  }

  void epilogue(Conv2d& conv, std::vector<Value>& inputs) {
    while (accept("|")) {
      const std::string step = name();
      const bool known = op_named<Epilogue>(step, [&](auto op) {
        if (step_operands(op) > 0) {
          expect("(");
          inputs.push_back(operand());
          expect(")");
        }
        attributes(op);
        conv.epilogue.emplace_back(op);
      });
      if (!known) fail(fmt::format("'{}' cannot follow a convolution", printable(step)));
    }
  }

  // Calls found(Op{}) with the op of that name among those of the variant. False if there is none.
  template <class Variant, size_t I = 0, class Found>
  static bool op_named(std::string_view wanted, Found&& found) {
    if constexpr (I < std::variant_size_v<Variant>) {
      using Candidate = std::variant_alternative_t<I, Variant>;
      if (Candidate::op_name != wanted) return op_named<Variant, I + 1>(wanted, found);
      found(Candidate{});
      return true;
    } else {
      return false;
    }
  }

  void node() {
    Node node;
    const int line = line_;
    expect("%");
    node.name = name();
    if (values_.contains(node.name)) fail(fmt::format("%{} is defined twice", printable(node.name)));
    expect("=");
    const std::string wanted = name();
    const bool known = op_named<Op>(wanted, [&](auto op) {
      using AnyOp = decltype(op);
      if constexpr (std::is_same_v<AnyOp, Weight>) {
        op.tensor = quoted();
        if (accept("sha256")) {
          expect("=");
          op.sha256 = name();
        }
      } else if constexpr (!std::is_same_v<AnyOp, Input>) {
        expect("(");
        do {
          node.inputs.push_back(operand());
        } while (accept(","));
        expect(")");
      }
      attributes(op);
      if constexpr (std::is_same_v<AnyOp, Conv2d>) epilogue(op, node.inputs);
      node.op = std::move(op);
    });
    if (!known) fail(fmt::format("there is no op '{}'", printable(wanted)));
    expect(":");
    node.type.dtype = dtype();
    node.type.dims = bracketed();
    if (accept("border")) {
      expect("=");
      value(node.type.border);
    }
    const auto defined = static_cast<Value>(graph_.nodes.size());
    values_.emplace(node.name, defined);
    graph_.nodes.push_back(std::move(node));
    checked(line, [&] { verify_node(graph_, defined); });
  }
};

}  // namespace

std::string to_string(const TensorType& type) {
  std::string result = to_string(type.dtype) + '[';
  for (size_t i = 0; i < type.dims.size(); i++) {
    result += i == 0 ? "" : ",";
    result += type.dims[i] == batch_dimension ? "n" : text(type.dims[i]);
  }
  result += ']';
  if (type.border != Sides{}) result += " border=" + text(type.border);
  return result;
}

std::string print_node(const Graph& graph, Value value) {
  const Node& node = graph[value];
  std::string result = fmt::format("%{} = {}", node.name, op_name(node.op));
  std::visit(
      [&](const auto& op) {
        using AnyOp = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<AnyOp, Weight>) {
          result += ' ' + quoted(op.tensor);
          if (!op.sha256.empty()) result += " sha256=" + op.sha256;
        } else if constexpr (std::is_same_v<AnyOp, Conv2d>) {
          const size_t plain = std::min<size_t>(node.inputs.size(), 3);
          result += fmt::format("({}){}{}", operands(graph, node.inputs, 0, plain), attributes(op),
                                print_epilogue(graph, node, op, plain));
        } else if constexpr (!std::is_same_v<AnyOp, Input>) {
          result += fmt::format("({}){}", operands(graph, node.inputs, 0, node.inputs.size()), attributes(op));
        }
      },
      node.op);
  return result + " : " + to_string(node.type);
}

std::string print(const Graph& graph) {
  std::string result = fmt::format("graph {} {{\n", graph.name);
  for (size_t i = 0; i < graph.nodes.size(); i++) result += "  " + print_node(graph, static_cast<Value>(i)) + "\n";
  return result + "  return " + operands(graph, graph.outputs, 0, graph.outputs.size()) + "\n}\n";
}

Graph parse(std::string_view text) {
  return Parser(text).graph();
}

}  // namespace resnetc
