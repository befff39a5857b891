// One node of an ONNX graph: its operands, its attributes, and errors that name it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "compiler/import/activation.h"

namespace onnx {
class AttributeProto;
class NodeProto;
}  // namespace onnx

namespace resnetc {

using OnnxValue = std::variant<Constant, Activation>;

class OnnxNode {
 public:
  // inputs: null for one that is left out. The message and the operands must outlive this.
  OnnxNode(const onnx::NodeProto& proto, std::string place, int opset, std::vector<const OnnxValue*> inputs);

  const std::string& op() const;
  // What it is called in the graph that is made.
  std::string name() const;
  int opset() const { return opset_; }
  // Throws Error "FILE: node "x" (Op): what".
  [[noreturn]] void fail(std::string_view what) const;

  size_t input_count() const { return inputs_.size(); }
  const std::string& input_name(size_t i) const;
  // Results that have a name, so that something may read them.
  int output_count() const;
  // Null if it is left out.
  const OnnxValue* find(size_t i) const { return i < inputs_.size() ? inputs_[i] : nullptr; }
  const OnnxValue& at(size_t i) const;
  // Fails where the operand is of the other kind; a softmax's result is none that may be computed with.
  const Activation& activation(size_t i) const;
  const Constant& constant(size_t i) const;
  const Constant* find_constant(size_t i) const;
  // Of a constant that must hold such values.
  const std::vector<float>& floats(size_t i) const;
  const std::vector<int64_t>& integers(size_t i) const;

  // Attributes by name; those that are read, or ignored, may be there.
  bool has(std::string_view attribute) const;
  int64_t integer(std::string_view attribute, int64_t otherwise) const;
  double number(std::string_view attribute, double otherwise) const;
  std::string text(std::string_view attribute, std::string_view otherwise) const;
  std::vector<int64_t> integers(std::string_view attribute, std::vector<int64_t> otherwise) const;
  std::vector<float> floats(std::string_view attribute) const;
  // Null if there is none.
  const onnx::AttributeProto* attribute(std::string_view name) const;
  void ignore(std::string_view name) const { read_.insert(std::string(name)); }
  void require(std::string_view attribute, int64_t value, int64_t otherwise) const;
  // One that nobody has read would change what the node means.
  void refuse_other_attributes() const;

 private:
  const onnx::NodeProto& proto_;
  std::string place_;
  int opset_;
  std::vector<const OnnxValue*> inputs_;
  mutable std::set<std::string, std::less<>> read_;
};

// Letters, digits, '_', '.' and '-', as the names of nodes must be.
std::string usable_name(std::string_view name);

}  // namespace resnetc
