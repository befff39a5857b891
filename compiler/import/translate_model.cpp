#include "compiler/import/translate_model.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "compiler/import/fold_constants.h"
#include "compiler/import/translation.h"
#include "compiler/json_reader.h"
#include "compiler/model_file.h"
#include "ir/rewrite.h"
#include "ir/verify.h"

namespace resnetc {
namespace {

using Translate = Activation (*)(Translation&, const OnnxNode&);

struct Operation {
  std::string_view name;
  Translate translate;
};
// Sorted, as an error lists them.
constexpr Operation operations[] = {
    {"Add", translate_add},
    {"AveragePool", translate_average_pool},
    {"BatchNormalization", translate_batch_normalization},
    {"Cast", translate_layout},
    {"Clip", translate_clip},
    {"Conv", translate_conv},
    {"Div", translate_add},
    {"Dropout", translate_layout},
    {"Flatten", translate_layout},
    {"Gemm", translate_gemm},
    {"GlobalAveragePool", translate_global_average_pool},
    {"Identity", translate_layout},
    {"MatMul", translate_matmul},
    {"MaxPool", translate_max_pool},
    {"Mul", translate_add},
    {"Pad", translate_pad},
    {"ReduceMean", translate_reduce_mean},
    {"Relu", translate_relu},
    {"Reshape", translate_layout},
    {"Slice", translate_slice},
    {"Softmax", translate_layout},
    {"Squeeze", translate_layout},
    {"Sub", translate_add},
    {"Transpose", translate_layout},
    {"Unsqueeze", translate_layout},
};

bool is_standard(const std::string& domain) {
  return domain.empty() || domain == "ai.onnx";
}

class ModelTranslator {
 public:
  ModelTranslator(onnx::ModelProto& model, const std::filesystem::path& file, const std::string& name, bool normalises)
      : model_(model), graph_(*model.mutable_graph()), file_(file), to_(name, normalises) {}

  TranslatedModel translate() && {
    constexpr int most_nodes = 200'000;
    read_opset();
    if (graph_.node_size() > most_nodes)
      fail(fmt::format("has {} nodes, at most {} are possible", graph_.node_size(), most_nodes));
    if (graph_.sparse_initializer_size() > 0) fail("has sparse initializers, which are not taken; save them as dense");
    for (onnx::TensorProto& tensor : *graph_.mutable_initializer())
      if (!initializers_.emplace(tensor.name(), &tensor).second)
        fail(fmt::format("initializer {} is there twice", quote(tensor.name())));
    for (int i = 0; i < graph_.node_size(); i++)
      for (const std::string& output : graph_.node(i).output()) computed_.emplace(output, i);
    input();
    for (int i = 0; i < graph_.node_size(); i++) node(i);
    return finish();
  }

 private:
  onnx::ModelProto& model_;
  onnx::GraphProto& graph_;
  const std::filesystem::path& file_;
  Translation to_;
  int opset_ = 0;
  bool was_nhwc_ = false;
  size_t read_bytes_ = 0, folded_bytes_ = 0;  // of constants: initializers, and what nodes made
  std::unordered_map<std::string, onnx::TensorProto*> initializers_;
  std::unordered_map<std::string, int> computed_;  // the names of all results, and which node's they are
  std::unordered_map<std::string, OnnxValue> values_;

  [[noreturn]] void fail(std::string_view what) const { throw Error(fmt::format("{}: {}", file_.string(), what)); }

  void read_opset() {
    constexpr int64_t least = 7;
    int64_t version = 0;
    for (const onnx::OperatorSetIdProto& opset : model_.opset_import())
      if (is_standard(opset.domain())) version = opset.version();
    if (version < least || version > 1000)
      fail(fmt::format("is of opset {}; opsets from {} on are taken: export it with opset_version=13", version, least));
    opset_ = static_cast<int>(version);
  }

  const onnx::ValueInfoProto& input_info() const {
    const onnx::ValueInfoProto* found = nullptr;
    for (const onnx::ValueInfoProto& info : graph_.input()) {
      if (initializers_.contains(info.name())) continue;
      if (found)
        fail(fmt::format("has several inputs, {} and {}; a model has one, its images", quote(found->name()),
                         quote(info.name())));
      found = &info;
    }
    if (!found) fail("has no input");
    return *found;
  }

  // Whether what reads the input, and what reads that, turns N x H x W x C around before anything depends on it.
  bool is_turned(std::string value) const {
    for (const onnx::NodeProto& node : graph_.node()) {
      if (node.op_type() == "Shape" || std::find(node.input().begin(), node.input().end(), value) == node.input().end())
        continue;
      if (node.op_type() == "Transpose") {
        for (const onnx::AttributeProto& attribute : node.attribute())
          if (attribute.name() == "perm" && attribute.ints_size() == 4)
            return attribute.ints(1) == 3 && attribute.ints(2) == 1 && attribute.ints(3) == 2;
        return false;
      }
      static const std::unordered_set<std::string> passed = {"Add", "Cast", "Div", "Identity", "Mul", "Pad", "Sub"};
      if (!passed.contains(node.op_type()) || node.output_size() == 0) return false;
      value = node.output(0);
    }
    return false;
  }

  void input() {
    const onnx::ValueInfoProto& info = input_info();
    const auto refuse = [&](const std::string& what) { fail(fmt::format("input {}: {}", quote(info.name()), what)); };
    const onnx::TypeProto::Tensor& type = info.type().tensor_type();
    using onnx::TensorProto;
    const int taken[] = {TensorProto::FLOAT, TensorProto::FLOAT16, TensorProto::BFLOAT16, TensorProto::DOUBLE};
    if (std::find(std::begin(taken), std::end(taken), type.elem_type()) == std::end(taken))
      refuse(fmt::format("is of type {} of ONNX; it must be of a floating-point type", type.elem_type()));
    Shape shape;
    for (const onnx::TensorShapeProto::Dimension& side : type.shape().dim())
      shape.push_back(side.has_dim_value() ? side.dim_value() : run_time_batch);
    if (shape.size() != 4) refuse(fmt::format("has shape {}; images have 4 dimensions", shape_text(shape)));
    was_nhwc_ = is_turned(info.name());
    using enum Axis;
    const std::vector<Axis> axes =
        was_nhwc_ ? std::vector{batch, height, width, channel} : std::vector{batch, channel, height, width};
    int channels = 0;
    Hw size;
    for (size_t i = 0; i < axes.size(); i++) {
      if (axes[i] == batch) {
        to_.file_batch = shape[i] > 0 ? shape[i] : run_time_batch;
        continue;
      }
      const int most = axes[i] == channel ? most_channels : most_side;
      if (shape[i] == run_time_batch)
        refuse(fmt::format("dimension {} has no fixed size; export the model with one, and only the batch dynamic", i));
      if (shape[i] < 1 || shape[i] > most)
        refuse(fmt::format("dimension {} must be from 1 to {}, got {}", i, most, shape[i]));
      (axes[i] == channel ? channels : axes[i] == height ? size.h : size.w) = static_cast<int>(shape[i]);
    }
    Activation x;
    x.value = to_.builder.input("input", image_type(size.h, size.w, channels));
    x.axes = axes;
    define(info.name(), x, file_.string());
  }

  void define(const std::string& name, OnnxValue value, const std::string& where) {
    if (!values_.emplace(name, std::move(value)).second || initializers_.contains(name))
      throw Error(fmt::format("{}: {} is defined twice", where, quote(name)));
  }

  std::string place(int index) const {
    const onnx::NodeProto& node = graph_.node(index);
    const std::string who = node.name().empty() ? fmt::format("{}", index) : quote(node.name());
    const std::string op = is_plain_text(node.op_type()) && node.op_type().size() < 100 ? node.op_type() : "?";
    return fmt::format("{}: node {} ({})", file_.string(), who, op);
  }

  // Null if there is no such value.
  const OnnxValue* find(const std::string& name) {
    if (const auto known = values_.find(name); known != values_.end()) return &known->second;
    const auto initializer = initializers_.find(name);
    if (initializer == initializers_.end()) return nullptr;
    onnx::TensorProto& tensor = *initializer->second;
    Constant constant;
    try {
      constant = read_tensor(tensor, file_);
    } catch (const Error& e) {
      fail(fmt::format("initializer {}: {}", quote(name), e.what()));
    }
    read_bytes_ += constant.byte_count();
    tensor.Clear();  // read once, and kept as a constant from here on
    return &values_.emplace(name, std::move(constant)).first->second;
  }

  std::string_view why_unknown(const std::string& name, int reader) const {
    const auto computed = computed_.find(name);
    if (computed == computed_.end()) return "is computed by no node";
    if (computed->second < reader) return "is not its node's first result; only those are taken";
    return "is computed by a later node, or the nodes make a cycle; sort them";
  }

  void node(int index) {
    const onnx::NodeProto& proto = graph_.node(index);
    const std::string where = place(index);
    std::vector<const OnnxValue*> inputs;
    for (const std::string& name : proto.input()) {
      inputs.push_back(name.empty() ? nullptr : find(name));
      if (!name.empty() && !inputs.back())
        throw Error(fmt::format("{}: input {} {}", where, quote(name), why_unknown(name, index)));
    }
    if (!is_standard(proto.domain()))
      throw Error(
          fmt::format("{}: is of domain {}; only ONNX's own operations are taken", where, quote(proto.domain())));
    if (proto.output_size() == 0) throw Error(fmt::format("{}: has no output", where));
    const OnnxNode node(proto, where, opset_, std::move(inputs));
    try {
      OnnxValue value = result(node);
      if (!proto.output(0).empty()) define(proto.output(0), std::move(value), where);
    } catch (const Error& e) {
      if (std::string_view(e.what()).starts_with(file_.string() + ": ")) throw;
      node.fail(e.what());
    }
  }

  // Each constant is kept until the end.
  void count_folded(const OnnxNode& node, const Constant& result) {
    constexpr size_t most_times = 4;
    for (size_t i = 0; i < node.input_count(); i++)
      if (const Constant* operand = node.find_constant(i); operand && operand->values == result.values) return;
    folded_bytes_ += result.byte_count();
    if (folded_bytes_ > most_folded_bytes + most_times * read_bytes_)
      node.fail(fmt::format("and the nodes before it make constants of {} MiB; export the model with constants folded",
                            folded_bytes_ >> 20));
  }

  OnnxValue result(const OnnxNode& node) {
    if (node.op() == "Constant") {
      Constant read = constant(node);
      read_bytes_ += read.byte_count();
      return read;
    }
    bool is_computed = false;
    for (size_t i = 0; i < node.input_count(); i++)
      is_computed |= node.find(i) && std::holds_alternative<Activation>(*node.find(i));
    if (!is_computed) {
      std::optional<Constant> folded = fold_constants(node, file_);
      if (!folded) node.fail("computes with constants alone, which is not taken of this operation");
      count_folded(node, *folded);
      return std::move(*folded);
    }
    if (node.op() == "Shape") return shape_of(node);
    const auto* operation = std::find_if(std::begin(operations), std::end(operations),
                                         [&](const Operation& o) { return o.name == node.op(); });
    if (operation == std::end(operations)) {
      std::vector<std::string_view> names;
      for (const Operation& known : operations) names.push_back(known.name);
      node.fail(fmt::format("this operation is not taken; taken are {}", fmt::join(names, ", ")));
    }
    Activation activation = operation->translate(to_, node);
    node.refuse_other_attributes();
    return activation;
  }

  Constant constant(const OnnxNode& node) const {
    if (const onnx::AttributeProto* value = node.attribute("value")) return read_tensor(value->t(), file_);
    if (node.has("value_int")) return make_constant(Shape{}, std::vector<int64_t>{node.integer("value_int", 0)});
    if (node.has("value_float"))
      return make_constant(Shape{}, std::vector<float>{static_cast<float>(node.number("value_float", 0))});
    if (node.has("value_ints")) {
      std::vector<int64_t> values = node.integers("value_ints", {});
      return make_list(std::move(values));
    }
    if (node.has("value_floats")) {
      std::vector<float> values = node.floats("value_floats");
      return make_list(std::move(values));
    }
    node.fail("has no value that is taken: a tensor, integers or floats");
  }

  Constant shape_of(const OnnxNode& node) const {
    const Shape all = to_.shape_of(node.activation(0));
    const auto rank = static_cast<int64_t>(all.size());
    const auto bound = [&](std::string_view attribute, int64_t otherwise) {
      const int64_t at = node.integer(attribute, otherwise);
      return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
    };
    const int64_t start = bound("start", 0), end = std::max(bound("end", rank), start);
    return make_list(Shape(all.begin() + start, all.begin() + end));
  }

  TranslatedModel finish() {
    if (graph_.output_size() != 1)
      fail(fmt::format("has {} outputs; a model has one: leave the others out of the export", graph_.output_size()));
    const std::string& name = graph_.output(0).name();
    const std::string where = fmt::format("{}: output {}", file_.string(), quote(name));
    const OnnxValue* value = find(name);
    if (!value) throw Error(where + " is computed by no node");
    auto* output = std::get_if<Activation>(value);
    if (!output) throw Error(where + " does not depend on the input");
    onnx::NodeProto nobody;
    nobody.add_input(name);
    const OnnxNode reader(nobody, where, opset_, {value});
    Activation result = to_.settled(reader, *output);
    TranslatedModel done;
    if (std::holds_alternative<Input>(to_.builder.graph()[result.value].op)) throw Error(where + " is the input");
    done.graph = without_dead_nodes(std::move(to_.builder).finish({result.value}));
    verify(done.graph);
    std::unordered_set<std::string> used;
    for (const Node& node : done.graph.nodes)
      if (const auto* weight = std::get_if<Weight>(&node.op)) used.insert(weight->tensor);
    for (TensorToWrite& tensor : to_.tensors)
      if (used.contains(tensor.name)) done.tensors.push_back(std::move(tensor));
    done.normalisation = to_.normalisation;
    done.was_nhwc = was_nhwc_;
    done.had_softmax = result.is_softmax;
    return done;
  }
};

}  // namespace

TranslatedModel translate_model(onnx::ModelProto& model, const std::filesystem::path& file, const std::string& name,
                                bool normalises) {
  return ModelTranslator(model, file, name, normalises).translate();
}

}  // namespace resnetc
