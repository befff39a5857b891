#include "compiler/graph_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "ir/verify.h"

namespace resnetc {
namespace {

constexpr int most = std::numeric_limits<int>::max();
constexpr int most_shown = 8;  // nodes of a cycle

// OIHW -> OHWI
std::vector<int> file_to_ir(const std::vector<int>& d) {
  return d.size() == 4 ? std::vector{d[0], d[2], d[3], d[1]} : d;
}

template <class AnyOp>
constexpr bool is_conv = std::is_same_v<AnyOp, Conv2d>;
template <class AnyOp>
constexpr bool is_weight = std::is_same_v<AnyOp, Weight>;

void read_value(const JsonValue& json, int& value) {
  value = json.integer(0, most);
}
void read_value(const JsonValue& json, bool& value) {
  value = json.boolean();
}
void read_value(const JsonValue& json, double& value) {
  value = json.number(0, std::numeric_limits<double>::max());
}
// n or [height, width]
void read_value(const JsonValue& json, Hw& value) {
  if (!json.is_array()) {
    value.h = value.w = json.integer(1, most);
    return;
  }
  const std::vector<JsonValue> sides = json.items(2, 2);
  value = {sides[0].integer(1, most), sides[1].integer(1, most)};
}
// n or [top, left, bottom, right]
void read_value(const JsonValue& json, Sides& value) {
  if (!json.is_array()) {
    value = all_sides(json.integer(0, most));
    return;
  }
  const std::vector<JsonValue> sides = json.items(4, 4);
  value = {sides[0].integer(0, most), sides[1].integer(0, most), sides[2].integer(0, most), sides[3].integer(0, most)};
}

template <class AnyOp>
std::vector<std::string_view> field_names(const AnyOp& op) {
  std::vector<std::string_view> names;
  for_each_field(op, [&](std::string_view name, const auto&) { names.push_back(name); });
  return names;
}

template <class AnyOp>
void read_fields(const JsonValue& json, AnyOp& op) {
  for_each_field(op, [&](std::string_view name, auto& value) {
    if (const auto member = json.find(name)) read_value(*member, value);
  });
}

// Calls found(AnyOp{}) with the alternative of Variant that json's "op" names, unless a node cannot be such a one.
template <class Variant, size_t I = 0, class Found>
void op_named(const JsonValue& json, std::vector<std::string_view> others, Found&& found) {
  if constexpr (I < std::variant_size_v<Variant>) {
    using AnyOp = std::variant_alternative_t<I, Variant>;
    if constexpr (!std::is_same_v<AnyOp, Input>) {
      if (json.text() == AnyOp::op_name) return found(AnyOp{});
      others.push_back(AnyOp::op_name);
    }
    op_named<Variant, I + 1>(json, std::move(others), found);
  } else {
    json.fail_choice(others);
  }
}

// The names that a node reads, its epilogue's included, whatever else is wrong with it.
std::vector<std::string> names_read(const JsonValue& node) {
  std::vector<std::string> names;
  const auto add = [&](const JsonValue& json) {
    if (const auto inputs = json.find("inputs"))
      for (const JsonValue& input : inputs->items(0, most)) names.push_back(input.text());
  };
  add(node);
  if (const auto epilogue = node.find("epilogue"))
    for (const JsonValue& step : epilogue->items(0, most)) add(step);
  return names;
}

class Reader {
 public:
  Reader(const JsonValue& json, const ModelFile& file) : json_(json) {
    graph_.name = file.name;
    input(file);
  }

  Graph graph() && {
    list_ = json_.at("graph").items(1, most);
    for (size_t i = 0; i < list_.size(); i++) claim_name(i);
    for (const JsonValue& json : list_) node(json);
    outputs(json_.at("output"));
    verify(graph_);
    return std::move(graph_);
  }

 private:
  const JsonValue& json_;
  Graph graph_;
  std::vector<JsonValue> list_;
  std::map<std::string, size_t, std::less<>> places_;  // in list_, of every name
  std::map<std::string, Value, std::less<>> values_;   // of the nodes so far

  void define(Node node, const JsonValue& json) {
    const auto value = static_cast<Value>(graph_.nodes.size());
    values_.emplace(node.name, value);
    graph_.nodes.push_back(std::move(node));
    try {
      verify_node(graph_, value);
    } catch (const Error& e) {
      json.fail(e.what());
    }
  }

  void input(const ModelFile& file) {
    const JsonValue json = json_.at("input");
    Node node{"input", Input{}, {}, image_type(file.size.h, file.size.w, file.channels)};
    if (const auto name = json.find("name")) node.name = name->text();
    if (const auto border = json.find("border")) read_value(*border, node.type.border);
    define(std::move(node), json);
  }

  void claim_name(size_t i) {
    const JsonValue json = list_[i].at("name");
    if (values_.contains(json.text())) json.fail(fmt::format("{} is the input's name", quote(json.text())));
    const auto [place, is_new] = places_.emplace(json.text(), i);
    if (!is_new) json.fail(fmt::format("{} is the name of graph[{}] too", quote(json.text()), place->second));
  }

  // A chain of reads from one name to another, "a -> b -> c"; empty if there is none.
  std::string chain(const std::string& from, const std::string& to) const {
    std::map<std::string, std::string> reader_of = {{from, ""}};
    std::vector<std::string> open = {from};
    while (!open.empty() && open.back() != to) {
      const std::string name = open.back();
      open.pop_back();
      const auto place = places_.find(name);
      if (place == places_.end()) continue;
      for (const std::string& input : names_read(list_[place->second]))
        if (reader_of.emplace(input, name).second) open.push_back(input);
    }
    if (open.empty()) return "";
    std::vector<std::string> names;  // from the end
    for (std::string name = to; !name.empty(); name = reader_of[name]) names.push_back(quote(name));
    if (names.size() > most_shown) {
      names.erase(names.begin() + 1, names.end() - (most_shown - 1));
      names[0] = "… -> " + names[0];
    }
    std::reverse(names.begin(), names.end());
    return fmt::format("{}", fmt::join(names, " -> "));
  }

  Value operand(const JsonValue& json, const std::string& reader) const {
    const std::string name = json.text();
    if (const auto found = values_.find(name); found != values_.end()) return found->second;
    const auto place = places_.find(name);
    if (place == places_.end()) json.fail(fmt::format("there is no node {}", quote(name)));
    if (const std::string cycle = chain(name, reader); !cycle.empty())
      json.fail(fmt::format("makes a cycle of inputs: {} -> {}", quote(reader), cycle));
    json.fail(fmt::format("{} stands below, as graph[{}]; list a node after its inputs", quote(name), place->second));
  }

  void operands(const JsonValue& json, Node& node) const {
    for (const JsonValue& input : json.items(0, most)) node.inputs.push_back(operand(input, node.name));
  }

  void weight(const JsonValue& json, Node& node) const {
    json.allow_keys({"name", "op", "shape", "dtype", "tensor", "sha256"});
    Weight op;
    const auto tensor = json.find("tensor"), sha256 = json.find("sha256");
    op.tensor = tensor ? tensor->text() : node.name;
    if (sha256) op.sha256 = sha256->text();
    std::vector<int> shape;
    for (const JsonValue& side : json.at("shape").items(1, 4)) shape.push_back(side.integer(1, most));
    node.op = std::move(op);
    node.type = weight_type(file_to_ir(shape));
    if (const auto dtype = json.find("dtype")) {
      const std::string name = dtype->text();
      if (name != to_string(DType::f32) && name != to_string(DType::bf16))
        dtype->fail(fmt::format("must be \"f32\" or \"bf16\", got {}", quote(name)));
      node.type.dtype = name == to_string(DType::bf16) ? DType::bf16 : DType::f32;
    }
  }

  void epilogue(const JsonValue& json, Conv2d& conv, Node& node) const {
    for (const JsonValue& step : json.items(0, 64)) {
      op_named<Epilogue>(step.at("op"), {}, [&](auto op) {
        std::vector<std::string_view> keys = field_names(op);
        const size_t wanted = step_operands(op);
        keys.insert(keys.begin(), "op");
        if (wanted > 0) keys.insert(keys.begin() + 1, "inputs");
        step.allow_keys(keys);
        if (wanted > 0) {
          step.at("inputs").items(wanted, wanted);
          operands(step.at("inputs"), node);
        }
        read_fields(step, op);
        conv.epilogue.emplace_back(op);
      });
    }
  }

  template <class AnyOp>
  void computed(const JsonValue& json, AnyOp op, Node& node) const {
    std::vector<std::string_view> keys = field_names(op);
    if (is_conv<AnyOp>) keys.insert(keys.begin(), "epilogue");
    keys.insert(keys.begin(), {"name", "op", "inputs", "border"});
    json.allow_keys(keys);
    operands(json.at("inputs"), node);
    const size_t plain = node.inputs.size();
    read_fields(json, op);
    if constexpr (is_conv<AnyOp>)
      if (const auto steps = json.find("epilogue")) {
        // Otherwise a step's operand would be taken for the bias.
        if (plain != 3 && !steps->items(0, most).empty())
          json.at("inputs").fail(fmt::format("an epilogue needs a bias: [x, weight, bias], got {} inputs", plain));
        epilogue(*steps, op, node);
      }
    node.op = std::move(op);
    infer_type(json, node);
    if (const auto border = json.find("border")) read_value(*border, node.type.border);
  }

  void infer_type(const JsonValue& json, Node& node) const {
    std::vector<TensorType> types;
    bool has_kernel = false;
    for (Value v : node.inputs) {
      types.push_back(graph_[v].type);
      has_kernel |= types.back().dims.size() == 4 && !types.back().is_activation();
    }
    try {
      node.type = infer(node.op, types);
    } catch (const std::invalid_argument& e) {
      json.fail(
          fmt::format("node %{}: {}: {}{}", printable(node.name), op_name(node.op), e.what(),
                      has_kernel ? " (a weight's shape [out,in,height,width] is [out,height,width,in] here)" : ""));
    }
  }

  void node(const JsonValue& json) {
    Node node;
    node.name = json.at("name").text();
    op_named<Op>(json.at("op"), {}, [&](auto op) {
      if constexpr (is_weight<decltype(op)>) {
        weight(json, node);
      } else {
        computed(json, op, node);
      }
    });
    define(std::move(node), json);
  }

  void output(const JsonValue& json) {
    const auto found = values_.find(json.text());
    if (found == values_.end()) json.fail(fmt::format("there is no node {}", quote(json.text())));
    if (!graph_[found->second].type.is_activation())
      json.fail(fmt::format("{} is a weight; an output is computed", quote(json.text())));
    graph_.outputs.push_back(found->second);
  }

  void outputs(const JsonValue& json) {
    if (!json.is_array()) return output(json);
    for (const JsonValue& item : json.items(1, 64)) output(item);
  }
};

}  // namespace

Graph graph_from_json(const JsonValue& json, const ModelFile& file) {
  return Reader(json, file).graph();
}

}  // namespace resnetc
