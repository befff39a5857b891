#include "compiler/import/translation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/json_reader.h"

namespace resnetc {
namespace {

bool is_positive(const Affine& affine) {
  return std::all_of(affine.scale.begin(), affine.scale.end(), [](double s) { return s > 0; });
}

bool same(const std::optional<Affine>& a, const std::optional<Affine>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->scale == b->scale && a->shift == b->shift;
}

std::vector<float> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// OIHW -> OHWI
std::vector<int> file_to_ir(const Shape& s) {
  std::vector<int> dims(s.begin(), s.end());
  if (dims.size() == 4) dims = {dims[0], dims[2], dims[3], dims[1]};
  return dims;
}

}  // namespace

Shape Translation::shape_of(const Activation& x) const {
  const TensorType& image = type(x.value);
  const auto sampled = [](int size, int step) { return (int64_t{size} - 1) / step + 1; };
  Shape shape;
  for (Axis axis : x.axes) {
    if (axis == Axis::batch) shape.push_back(run_time_batch);
    if (axis == Axis::one) shape.push_back(1);
    if (axis == Axis::channel) shape.push_back(int64_t{image.channels()} + x.channels_before + x.channels_after);
    if (axis == Axis::height) shape.push_back(sampled(image.height(), x.subsample.h) + x.zeros.top + x.zeros.bottom);
    if (axis == Axis::width) shape.push_back(sampled(image.width(), x.subsample.w) + x.zeros.left + x.zeros.right);
  }
  return shape;
}

Value Translation::weight(const OnnxNode& node, const std::string& name, Shape shape, std::vector<float> values) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    node.fail(fmt::format("element {} of {} is {}, which is not finite; repair or train the weights again",
                          bad - values.begin(), quote(name), *bad));
  for (int64_t side : shape)
    if (side < 1 || side > std::numeric_limits<int>::max())
      node.fail(fmt::format("{} has shape {}, without elements or too large", quote(name), shape_text(shape)));
  // Nodes that share an initializer share the weight, unless they made something else of it.
  const auto known = weights_.find({name, shape});
  if (known != weights_.end() && *tensors[index_[known->second]].values == values) return known->second;
  const Value value = builder.weight(usable_name(name), Weight{}, weight_type(file_to_ir(shape)));
  const std::string& unique = builder.node(value).name;
  std::get<Weight>(builder.node(value).op).tensor = unique;
  index_[value] = tensors.size();
  tensors.push_back({unique, shape, std::make_shared<const std::vector<float>>(std::move(values))});
  weights_[{name, std::move(shape)}] = value;
  return value;
}

void Translation::require_nchw(const OnnxNode& node, const Activation& x) const {
  using enum Axis;
  if (x.axes == std::vector{batch, channel, height, width}) return;
  const bool is_pixel = x.axes == std::vector{batch, channel, one, one};
  if (!is_pixel)
    node.fail(fmt::format("input 0, {}, has shape {}, which is not N x C x H x W; Transpose it first",
                          quote(node.input_name(0)), shape_text(shape_of(x))));
}

void Translation::normalise_input(const OnnxNode& node, const std::optional<Affine>& affine) {
  if (input_is_read_ && !same(normalisation, affine))
    node.fail("reads the input normalised in another way than an earlier node; leave --preprocess out");
  input_is_read_ = true;
  normalisation = affine;
}

Activation Translation::with_affine(const OnnxNode& node, Activation x) {
  if (std::holds_alternative<Input>(builder.graph()[x.value].op) && normalises && !x.is_normalised &&
      (!x.affine || is_positive(*x.affine))) {
    normalise_input(node, x.affine);
    x.affine.reset();
    x.is_normalised = true;
    return x;
  }
  if (!x.affine) return x;
  const Affine affine = *std::exchange(x.affine, std::nullopt);
  auto& [known, result] = affine_results_[x.value];  // several nodes may read it
  if (result < 0 || !same(known, affine)) {
    result = apply(node, x, affine);
    known = affine;
  }
  x.value = result;
  return x;
}

Value Translation::apply(const OnnxNode& node, const Activation& x, const Affine& affine) {
  const Node producer = builder.graph()[x.value];
  const bool is_dense = std::holds_alternative<Dense>(producer.op);
  if (is_dense || std::holds_alternative<Conv2d>(producer.op)) return scaled(node, producer, affine);
  if (!is_image(x))
    node.fail(
        fmt::format("input 0, {}, is multiplied or added to, which is taken of images and of the results of Gemm "
                    "and MatMul",
                    quote(node.input_name(0))));
  const Shape shape = {static_cast<int64_t>(affine.scale.size())};
  const Value scale = weight(node, producer.name + ".scale", shape, rounded(affine.scale));
  const Value shift = weight(node, producer.name + ".shift", shape, rounded(affine.shift));
  return builder.add(producer.name + ".scaled", ScaleShift{}, {x.value, scale, shift});
}

// conv(x, w, b) * s + t = conv(x, w * s, b * s + t), and so for a dense layer.
Value Translation::scaled(const OnnxNode& node, const Node& producer, const Affine& affine) {
  const TensorToWrite weights = tensors[index_[producer.inputs[1]]];
  const bool is_scaled = std::any_of(affine.scale.begin(), affine.scale.end(), [](double s) { return s != 1; });
  std::vector<Value> inputs = producer.inputs;
  if (is_scaled) {
    std::vector<float> values = *weights.values;
    const size_t row = values.size() / affine.scale.size();
    for (size_t i = 0; i < values.size(); i++)
      values[i] = static_cast<float>(double{values[i]} * affine.scale[i / row]);
    inputs[1] = weight(node, weights.name + ".scaled", weights.shape, std::move(values));
  }
  std::vector<double> bias = affine.shift;
  std::string name = producer.name + ".bias";
  if (inputs.size() > 2) {
    const TensorToWrite& old = tensors[index_[inputs[2]]];
    for (size_t i = 0; i < bias.size(); i++) bias[i] += double{(*old.values)[i]} * affine.scale[i];
    name = old.name + ".shifted";
    inputs.pop_back();
  }
  inputs.push_back(weight(node, name, {static_cast<int64_t>(bias.size())}, rounded(bias)));
  return builder.add(producer.name, producer.op, inputs);
}

Activation Translation::settled_but_zeros(const OnnxNode& node, Activation x) {
  if (x.channels_before != 0 || x.channels_after != 0)
    node.fail(fmt::format("input 0, {}, has zeros beside its channels, which only an Add may read",
                          quote(node.input_name(0))));
  x = with_affine(node, std::move(x));
  if (x.subsample != Hw{}) {
    // The maximum over one pixel is that pixel.
    const std::string name = builder.graph()[x.value].name + ".subsample";
    x.value = builder.add(name, MaxPool{{1, 1}, std::exchange(x.subsample, Hw{}), {}}, {x.value});
  }
  return x;
}

Activation Translation::settled(const OnnxNode& node, Activation x) {
  if (x.zeros != Sides{})
    node.fail(
        fmt::format("input 0, {}, is padded, which only a Conv or an AveragePool may read, and a MaxPool after "
                    "a Relu",
                    quote(node.input_name(0))));
  return settled_but_zeros(node, std::move(x));
}

}  // namespace resnetc
