#include "compiler/import/onnx_node.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <cstdlib>

#include "compiler/json_reader.h"

namespace resnetc {

OnnxNode::OnnxNode(const onnx::NodeProto& proto, std::string place, int opset, std::vector<const OnnxValue*> inputs)
    : proto_(proto), place_(std::move(place)), opset_(opset), inputs_(std::move(inputs)) {}

const std::string& OnnxNode::op() const {
  return proto_.op_type();
}

std::string OnnxNode::name() const {
  if (!proto_.name().empty()) return usable_name(proto_.name());
  return usable_name(proto_.output_size() > 0 ? proto_.output(0) : proto_.op_type());
}

void OnnxNode::fail(std::string_view what) const {
  throw Error(fmt::format("{}: {}", place_, what));
}

const std::string& OnnxNode::input_name(size_t i) const {
  return proto_.input(static_cast<int>(i));
}

int OnnxNode::output_count() const {
  return static_cast<int>(std::count_if(proto_.output().begin(), proto_.output().end(),
                                        [](const std::string& name) { return !name.empty(); }));
}

const OnnxValue& OnnxNode::at(size_t i) const {
  if (const OnnxValue* value = find(i)) return *value;
  fail(fmt::format("input {} is missing", i));
}

const Activation& OnnxNode::activation(size_t i) const {
  const auto* activation = std::get_if<Activation>(&at(i));
  if (!activation) fail(fmt::format("input {}, {}, is a constant; it must be computed", i, quote(input_name(i))));
  if (activation->is_softmax) fail("reads the result of a Softmax; only the last node of a model may be one");
  return *activation;
}

const Constant& OnnxNode::constant(size_t i) const {
  if (const auto* constant = std::get_if<Constant>(&at(i))) return *constant;
  fail(fmt::format("input {}, {}, is computed; it must be a constant", i, quote(input_name(i))));
}

const Constant* OnnxNode::find_constant(size_t i) const {
  return find(i) ? &constant(i) : nullptr;
}

const std::vector<float>& OnnxNode::floats(size_t i) const {
  if (!constant(i).is_float()) fail(fmt::format("input {}, {}, must hold floats", i, quote(input_name(i))));
  return constant(i).floats();
}

const std::vector<int64_t>& OnnxNode::integers(size_t i) const {
  if (constant(i).is_float()) fail(fmt::format("input {}, {}, must hold integers", i, quote(input_name(i))));
  return constant(i).integers();
}

const onnx::AttributeProto* OnnxNode::attribute(std::string_view name) const {
  ignore(name);
  for (const onnx::AttributeProto& attribute : proto_.attribute())
    if (attribute.name() == name) return &attribute;
  return nullptr;
}

bool OnnxNode::has(std::string_view name) const {
  return attribute(name) != nullptr;
}

int64_t OnnxNode::integer(std::string_view name, int64_t otherwise) const {
  const onnx::AttributeProto* found = attribute(name);
  if (found && !found->has_i()) fail(fmt::format("attribute {} must be an integer", name));
  return found ? found->i() : otherwise;
}

double OnnxNode::number(std::string_view name, double otherwise) const {
  const onnx::AttributeProto* found = attribute(name);
  if (found && !found->has_f()) fail(fmt::format("attribute {} must be a float", name));
  // A float32 that was written as a decimal, such as an epsilon of 1e-5, becomes the double of that decimal again.
  return found ? std::strtod(fmt::format("{}", found->f()).c_str(), nullptr) : otherwise;
}

std::string OnnxNode::text(std::string_view name, std::string_view otherwise) const {
  const onnx::AttributeProto* found = attribute(name);
  if (found && !found->has_s()) fail(fmt::format("attribute {} must be a string", name));
  return found ? found->s() : std::string(otherwise);
}

std::vector<int64_t> OnnxNode::integers(std::string_view name, std::vector<int64_t> otherwise) const {
  const onnx::AttributeProto* found = attribute(name);
  if (!found) return otherwise;
  return {found->ints().begin(), found->ints().end()};
}

std::vector<float> OnnxNode::floats(std::string_view name) const {
  const onnx::AttributeProto* found = attribute(name);
  if (!found) return {};
  return {found->floats().begin(), found->floats().end()};
}

void OnnxNode::require(std::string_view name, int64_t value, int64_t otherwise) const {
  if (const int64_t found = integer(name, otherwise); found != value)
    fail(fmt::format("{}={} is not taken, only {}", name, found, value));
}

void OnnxNode::refuse_other_attributes() const {
  for (const onnx::AttributeProto& attribute : proto_.attribute())
    if (!read_.contains(attribute.name())) fail(fmt::format("attribute {} is not taken", quote(attribute.name())));
}

std::string usable_name(std::string_view name) {
  constexpr size_t longest = 200;
  std::string usable;
  for (char c : name.substr(0, longest)) {
    const bool fits =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (fits) {
      usable += c;
    } else if (!usable.empty()) {
      usable += c == '/' ? '.' : '_';
    }
  }
  return usable.empty() ? "node" : usable;
}

}  // namespace resnetc
