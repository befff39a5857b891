// batch_norm(conv2d(x, w[, b]), g, beta, m, v) -> conv2d(x, w * s, beta + (b - m) * s)   s = g / sqrt(v + epsilon)
//   when nothing else reads the conv2d and it has no epilogue
// batch_norm(x, g, beta, m, v) -> scale_shift(x, s, beta - m * s)                        else
//
// Computed in double and rounded once. Weights without values fold all the same, into weights without values.

#include <fmt/format.h>

#include <cmath>

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {
namespace {

using Values = std::shared_ptr<const std::vector<float>>;

const Weight& weight_of(const Rewriter& rewriter, Value value) {
  return std::get<Weight>(rewriter.node(value).op);
}

// The values f(i, c) of a weight, c being the index along the first dimension.
template <class F>
Values make_values(const TensorType& type, const F& f) {
  const auto channels = static_cast<size_t>(type.dims[0]);
  const size_t inner = static_cast<size_t>(element_count(type)) / channels;
  auto result = std::make_shared<std::vector<float>>();
  result->reserve(channels * inner);
  for (size_t i = 0; i < channels * inner; i++) result->push_back(static_cast<float>(f(i, i / inner)));
  return result;
}

// A batch norm's parameters, as new values and as numbers.
struct Parameters {
  Value gamma, beta, mean, variance;
  std::string name;           // "layer1.0.bn1" for gamma "layer1.0.bn1.weight"
  bool has_values;            // whether all four have
  std::vector<double> scale;  // gamma / sqrt(variance + epsilon); empty without values

  Parameters(const Rewriter& rewriter, Value old_value) {
    const Node& node = rewriter.from[old_value];
    gamma = rewriter.map(node.inputs[1]);
    beta = rewriter.map(node.inputs[2]);
    mean = rewriter.map(node.inputs[3]);
    variance = rewriter.map(node.inputs[4]);
    name = weight_of(rewriter, gamma).tensor;
    name = name.substr(0, name.rfind('.'));
    const Values &g = weight_of(rewriter, gamma).values, &v = weight_of(rewriter, variance).values;
    has_values = g && v && weight_of(rewriter, beta).values && weight_of(rewriter, mean).values;
    if (!has_values) return;
    const double epsilon = std::get<BatchNorm>(node.op).epsilon;
    for (size_t c = 0; c < g->size(); c++) scale.push_back((*g)[c] / std::sqrt(double{(*v)[c]} + epsilon));
  }
};

// Adds a weight named after value `from`, f32 however that is stored; no values if they are null.
Value add_folded(Rewriter& rewriter, Value from, std::string tensor, Values values) {
  const Node node = rewriter.node(from);
  return rewriter.to.weight(node.name + ".folded", {std::move(tensor), "", std::move(values)},
                            weight_type(node.type.dims));
}

// beta + (b - mean) * scale, b being null for zeros.
Values folded_bias(const Rewriter& rewriter, const Parameters& norm, const std::vector<float>* bias) {
  const std::vector<float>& beta = *weight_of(rewriter, norm.beta).values;
  const std::vector<float>& mean = *weight_of(rewriter, norm.mean).values;
  return make_values(rewriter.node(norm.beta).type, [&](size_t, size_t c) {
    return beta[c] + ((bias ? double{(*bias)[c]} : 0.0) - mean[c]) * norm.scale[c];
  });
}

Value fold_into_conv(Rewriter& rewriter, Value old_value, const Parameters& norm) {
  const Node conv = rewriter.node(rewriter.map(rewriter.from[old_value].inputs[0]));
  const bool has_bias = conv.inputs.size() > 2;
  const Weight weight = weight_of(rewriter, conv.inputs[1]);
  const Weight bias = has_bias ? weight_of(rewriter, conv.inputs[2]) : Weight{};

  Values new_weight, new_bias;
  if (norm.has_values && weight.values)
    new_weight = make_values(rewriter.node(conv.inputs[1]).type,
                             [&](size_t i, size_t c) { return (*weight.values)[i] * norm.scale[c]; });
  if (norm.has_values && (bias.values || !has_bias)) new_bias = folded_bias(rewriter, norm, bias.values.get());

  const Value w =
      add_folded(rewriter, conv.inputs[1], fmt::format("{} * {}", weight.tensor, norm.name), std::move(new_weight));
  const Value b =
      add_folded(rewriter, has_bias ? conv.inputs[2] : norm.beta,
                 has_bias ? fmt::format("{} * {}", bias.tensor, norm.name) : norm.name, std::move(new_bias));
  return in_place_of(rewriter, old_value, conv.op, {conv.inputs[0], w, b});
}

Value make_scale_shift(Rewriter& rewriter, Value old_value, const Parameters& norm) {
  Values scale, shift;
  if (norm.has_values) {
    scale = make_values(rewriter.node(norm.gamma).type, [&](size_t, size_t c) { return norm.scale[c]; });
    shift = folded_bias(rewriter, norm, nullptr);
  }
  const Value s = add_folded(rewriter, norm.gamma, norm.name + " scale", std::move(scale));
  const Value t = add_folded(rewriter, norm.beta, norm.name + " shift", std::move(shift));
  const Value x = rewriter.map(rewriter.from[old_value].inputs[0]);
  return in_place_of(rewriter, old_value, ScaleShift{}, {x, s, t});
}

}  // namespace

Graph fold_batch_norm(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    if (!std::holds_alternative<BatchNorm>(node.op)) return std::nullopt;
    const Parameters norm(rewriter, value);
    const auto* conv = read_once<Conv2d>(rewriter, node.inputs[0]);
    const bool folds = conv && conv->epilogue.empty();
    return folds ? fold_into_conv(rewriter, value, norm) : make_scale_shift(rewriter, value, norm);
  });
}

}  // namespace resnetc
