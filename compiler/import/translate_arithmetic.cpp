// Add, Sub, Mul, Div, BatchNormalization, Relu, Clip.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/import/translation.h"
#include "compiler/json_reader.h"

namespace resnetc {
namespace {

// One value for each channel of x, from a constant that ONNX broadcasts to x.
std::vector<double> per_channel(const Translation& to, const OnnxNode& node, const Activation& x, size_t operand) {
  const Constant& constant = node.constant(operand);
  const std::vector<float>& values = node.floats(operand);
  const auto channels = static_cast<size_t>(to.type(x.value).channels());
  const size_t rank = constant.shape.size();
  bool fits = rank <= x.axes.size() && !values.empty();
  for (size_t i = 0; i < rank && fits; i++)
    fits = constant.shape[i] == 1 || x.axes[x.axes.size() - rank + i] == Axis::channel;
  if (!fits || (values.size() != 1 && values.size() != channels))
    node.fail(fmt::format("constant {} of shape {} is no number for each channel of {}",
                          quote(node.input_name(operand)), shape_text(constant.shape), shape_text(to.shape_of(x))));
  std::vector<double> result(values.begin(), values.end());
  result.resize(channels, result[0]);
  return result;
}

// x * scale + shift
Activation scaled(Translation& to, const OnnxNode& node, Activation x, const std::vector<double>& scale,
                  const std::vector<double>& shift) {
  if (x.zeros != Sides{} || x.channels_before != 0 || x.channels_after != 0) x = to.settled(node, x);
  if (!x.affine) x.affine = Affine{std::vector<double>(scale.size(), 1.0), std::vector<double>(scale.size(), 0.0)};
  for (size_t c = 0; c < scale.size(); c++) {
    if (!std::isfinite(scale[c]) || !std::isfinite(shift[c]))
      node.fail("multiplies or adds a value that is not finite");
    x.affine->scale[c] *= scale[c];
    x.affine->shift[c] = x.affine->shift[c] * scale[c] + shift[c];
  }
  return x;
}

Activation with_constant(Translation& to, const OnnxNode& node, size_t operand) {
  const Activation& x = node.activation(1 - operand);
  std::vector<double> values = per_channel(to, node, x, operand);
  const std::vector<double> ones(values.size(), 1.0), zeros(values.size(), 0.0);
  const auto each = [&](auto change) { std::transform(values.begin(), values.end(), values.begin(), change); };
  if (node.op() == "Add") return scaled(to, node, x, ones, values);
  if (node.op() == "Mul") return scaled(to, node, x, values, zeros);
  if (node.op() == "Div") {
    if (operand == 0) node.fail("divides a constant by a computed value");
    each([](double v) { return 1 / v; });
    return scaled(to, node, x, values, zeros);
  }
  if (operand == 0) return scaled(to, node, x, std::vector<double>(values.size(), -1.0), values);
  each([](double v) { return -v; });
  return scaled(to, node, x, ones, values);
}

// Whether x is a shortcut without weights: rows and columns left out, and zeros beside its channels.
bool is_zero_padded(const Activation& x) {
  return x.channels_before != 0 || x.channels_after != 0 || x.subsample != Hw{};
}

Activation add_shortcut(Translation& to, const OnnxNode& node, Activation x, Activation shortcut) {
  x = to.settled(node, x);
  const Add add{shortcut.subsample.h, shortcut.channels_before};
  if (shortcut.subsample.h != shortcut.subsample.w || shortcut.zeros != Sides{})
    node.fail("adds an image of which rows and columns are taken in different steps, or which is padded");
  shortcut.subsample = {};
  shortcut.channels_before = shortcut.channels_after = 0;
  shortcut = to.settled(node, shortcut);
  x.value = to.builder.add(node.name(), add, {x.value, shortcut.value});
  return x;
}

Activation rectified(Translation& to, const OnnxNode& node, int maximum) {
  Activation x = to.settled(node, node.activation(0));
  x.value = to.builder.add(node.name(), Relu{maximum}, {x.value});
  return x;
}

// A bound of Clip, an operand from opset 11 on; none if it is left out.
std::optional<double> bound(const OnnxNode& node, size_t operand, std::string_view attribute) {
  if (node.opset() < 11) {
    if (!node.has(attribute)) return std::nullopt;
    return node.number(attribute, 0);
  }
  if (!node.find(operand)) return std::nullopt;
  if (node.floats(operand).size() != 1) node.fail(fmt::format("{} must be one number", attribute));
  return node.floats(operand)[0];
}

}  // namespace

Activation translate_add(Translation& to, const OnnxNode& node) {
  node.ignore("axis"), node.ignore("broadcast");  // of opset 6, which some writers still give
  for (size_t operand : {size_t{0}, size_t{1}})
    if (std::holds_alternative<Constant>(node.at(operand))) return with_constant(to, node, operand);
  if (node.op() != "Add") node.fail("of two computed values is not taken; only Add is");
  const Activation &a = node.activation(0), &b = node.activation(1);
  if (a.axes != b.axes || to.shape_of(a) != to.shape_of(b))
    node.fail(fmt::format("adds {} and {}; the dimensions must be the same", shape_text(to.shape_of(a)),
                          shape_text(to.shape_of(b))));
  return is_zero_padded(a) ? add_shortcut(to, node, b, a) : add_shortcut(to, node, a, b);
}

Activation translate_batch_normalization(Translation& to, const OnnxNode& node) {
  node.ignore("momentum");
  node.require("training_mode", 0, 0);
  // Before opset 14 the outputs say whether it trains.
  if (node.output_count() > 1) node.fail("has the outputs of training; export the model for inference");
  node.require("spatial", 1, 1);
  node.require("is_test", 1, 1);
  const double epsilon = node.number("epsilon", 1e-5);
  Activation x = node.activation(0);
  const auto channels = static_cast<size_t>(to.type(x.value).channels());
  if (x.axes.size() < 2 || x.axes[1] != Axis::channel)
    node.fail(fmt::format("input 0, {}, has shape {}, whose second dimension is not the channels; Transpose it first",
                          quote(node.input_name(0)), shape_text(to.shape_of(x))));
  for (size_t i = 1; i < 5; i++)
    if (node.floats(i).size() != channels)
      node.fail(fmt::format("input {}, {}, has {} values for {} channels", i, quote(node.input_name(i)),
                            node.floats(i).size(), channels));
  if (!to.is_image(x)) {
    std::vector<double> scale, shift;
    for (size_t c = 0; c < channels; c++) {
      scale.push_back(node.floats(1)[c] / std::sqrt(double{node.floats(4)[c]} + epsilon));
      shift.push_back(node.floats(2)[c] - node.floats(3)[c] * scale[c]);
    }
    return scaled(to, node, x, scale, shift);
  }
  x = to.settled(node, x);
  std::vector<Value> inputs = {x.value};
  for (size_t i = 1; i < 5; i++)
    inputs.push_back(to.weight(node, node.input_name(i), {static_cast<int64_t>(channels)}, node.floats(i)));
  const std::vector<float>& variance = node.floats(4);
  if (std::any_of(variance.begin(), variance.end(), [](float v) { return v < 0; }))
    node.fail(fmt::format("the variance {} is negative", quote(node.input_name(4))));
  x.value = to.builder.add(node.name(), BatchNorm{epsilon}, inputs);
  return x;
}

Activation translate_relu(Translation& to, const OnnxNode& node) {
  return rectified(to, node, 0);
}

Activation translate_clip(Translation& to, const OnnxNode& node) {
  const std::optional<double> least = bound(node, 1, "min"), most = bound(node, 2, "max");
  constexpr double unbounded = 3e38;  // what opset 6 gives where there is no bound
  const bool is_bounded = most && *most < unbounded;
  if (least != 0.0 || (is_bounded && (*most < 1 || *most > 65536 || *most != std::floor(*most))))
    node.fail(
        fmt::format("from {} to {} is not taken; the bounds must be 0 and none or an integer, as Clip(0, 6) has them",
                    least ? fmt::format("{}", *least) : "none", most ? fmt::format("{}", *most) : "none"));
  return rectified(to, node, is_bounded ? static_cast<int>(*most) : 0);
}

}  // namespace resnetc
