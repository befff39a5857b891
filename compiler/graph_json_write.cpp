#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/graph_json.h"

namespace resnetc {
namespace {

using Json = nlohmann::ordered_json;

// OHWI -> OIHW
std::vector<int> ir_to_file(const std::vector<int>& d) {
  return d.size() == 4 ? std::vector{d[0], d[3], d[1], d[2]} : d;
}

Json write(int value) {
  return value;
}
Json write(bool value) {
  return value;
}
Json write(double value) {
  return value;
}
Json write(const Hw& value) {
  return value.h == value.w ? Json(value.h) : Json{value.h, value.w};
}
Json write(const Sides& value) {
  return value == all_sides(value.top) ? Json(value.top) : Json{value.top, value.left, value.bottom, value.right};
}

template <class AnyOp>
void write_fields(const AnyOp& op, Json& json) {
  for_each_set_field(op, [&](std::string_view name, const auto& value) { json[std::string(name)] = write(value); });
}

Json names(const Graph& graph, const std::vector<Value>& values, size_t first, size_t last) {
  Json list = Json::array();
  for (size_t i = first; i < last; i++) list.push_back(graph[values[i]].name);
  return list;
}

Json write_epilogue(const Graph& graph, const Node& node, const Conv2d& conv, size_t operand) {
  Json list = Json::array();
  for (const Epilogue& step : conv.epilogue) {
    Json json;
    std::visit(
        [&](const auto& op) {
          json["op"] = op.op_name;
          const size_t end = operand + step_operands(op);
          if (end > operand) json["inputs"] = names(graph, node.inputs, operand, end);
          operand = end;
          write_fields(op, json);
        },
        step);
    list.push_back(std::move(json));
  }
  return list;
}

Json write_node(const Graph& graph, const Node& node) {
  Json json = {{"name", node.name}, {"op", op_name(node.op)}};
  std::visit(
      [&](const auto& op) {
        using AnyOp = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<AnyOp, Weight>) {
          json["shape"] = ir_to_file(node.type.dims);
          if (node.type.dtype != DType::f32) json["dtype"] = to_string(node.type.dtype);
          if (op.tensor != node.name) json["tensor"] = op.tensor;
          if (!op.sha256.empty()) json["sha256"] = op.sha256;
          return;
        }
        size_t plain = node.inputs.size();
        if constexpr (std::is_same_v<AnyOp, Conv2d>) plain = std::min<size_t>(plain, 3);
        json["inputs"] = names(graph, node.inputs, 0, plain);
        write_fields(op, json);
        if constexpr (std::is_same_v<AnyOp, Conv2d>)
          if (!op.epilogue.empty()) json["epilogue"] = write_epilogue(graph, node, op, plain);
      },
      node.op);
  if (node.type.border != Sides{}) json["border"] = write(node.type.border);
  return json;
}

// On one line, with spaces, as a person writes it.
std::string one_line(const Json& json) {
  if (!json.is_structured() || json.empty()) return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (!text.empty()) text += ", ";
    if (json.is_object()) text += Json(key).dump(-1, ' ', false, Json::error_handler_t::replace) + ": ";
    text += one_line(value);
  }
  return json.is_object() ? "{ " + text + " }" : "[" + text + "]";
}

bool is_list_of_objects(const Json& json) {
  return json.is_array() && !json.empty() && json[0].is_object();
}

bool holds_list_of_objects(const Json& json) {
  return json.is_object() && std::any_of(json.begin(), json.end(), [](const Json& member) {
           return is_list_of_objects(member) || holds_list_of_objects(member);
         });
}

std::string lines(const Json& json, const std::string& indent) {
  if (!is_list_of_objects(json) && !holds_list_of_objects(json)) return one_line(json);
  const std::string inner = indent + "  ";
  std::string text;
  for (const auto& [key, value] : json.items()) {
    text += (text.empty() ? "\n" : ",\n") + inner;
    text += json.is_object() ? one_line(key) + ": " + lines(value, inner) : one_line(value);
  }
  return (json.is_object() ? "{" : "[") + text + "\n" + indent + (json.is_object() ? "}" : "]");
}

}  // namespace

Json graph_to_json(const Graph& graph) {
  Json json = {{"name", graph.name}, {"input", nullptr}, {"graph", Json::array()}};
  for (const Node& node : graph.nodes) {
    if (!std::holds_alternative<Input>(node.op)) {
      json["graph"].push_back(write_node(graph, node));
      continue;
    }
    Json& input = json["input"] = Json::object();
    if (node.name != "input") input["name"] = node.name;
    input["channels"] = node.type.channels();
    input["height"] = node.type.height();
    input["width"] = node.type.width();
    if (node.type.border != Sides{}) input["border"] = write(node.type.border);
  }
  json["output"] = graph.outputs.size() == 1 ? Json(graph[graph.outputs[0]].name)
                                             : names(graph, graph.outputs, 0, graph.outputs.size());
  return json;
}

Json preprocess_to_json(const rn_preprocess& how, int channels) {
  const auto sides = [](int h, int w) { return h == w ? Json(h) : Json{h, w}; };
  Json json = Json::object();
  if (how.resize == rn_resize_shorter_side) json["resize"] = how.resize_height;
  if (how.resize == rn_resize_exact) json["resize"] = {how.resize_height, how.resize_width};
  if (how.crop_height != 0) json["crop"] = sides(how.crop_height, how.crop_width);
  json["interpolation"] = how.interpolation == rn_interpolate_nearest    ? "nearest"
                          : how.interpolation == rn_interpolate_bilinear ? "bilinear"
                                                                         : "bicubic";
  json["scale"] = how.scale;
  json["mean"] = std::vector<double>(how.mean, how.mean + channels);
  json["std"] = std::vector<double>(how.std, how.std + channels);
  json["order"] = how.order == rn_order_rgb ? "rgb" : how.order == rn_order_bgr ? "bgr" : "gray";
  return json;
}

std::string print_json(const Json& json) {
  return lines(json, "") + "\n";
}

}  // namespace resnetc
