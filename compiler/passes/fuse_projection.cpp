// conv2d(a, [oc,1,1,i] w, b) | add(conv2d(x, [oc,1,1,j] v, d) stride=s) | ..
//   -> conv2d(a, [oc,1,1,i+j] [w v], b + d) | project(x) stride=s | ..
//
// When nothing else reads the inner conv2d, both are 1x1 without groups and with weights of one kind, the inner one has
// neither padding nor an epilogue, and the outer one no max pool. So the projection shortcut of a bottleneck block is
// summed in the accumulators of the block's last convolution, and never stored. Weights without values fold all the
// same.

#include <fmt/format.h>

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {
namespace {

bool is_plain_pointwise(const Rewriter& rewriter, const Node& node) {
  const auto& conv = std::get<Conv2d>(node.op);
  const std::vector<int>& weight = rewriter.node(node.inputs[1]).type.dims;
  return weight[1] == 1 && weight[2] == 1 && conv.groups == 1;
}

// One weight of the values that `join` makes of those of both; none if one has none.
template <class Join>
Value joined(Rewriter& rewriter, Value a, Value b, const char* tensor, const TensorType& type, const Join& join) {
  const Node first = rewriter.node(a), second = rewriter.node(b);
  const auto &left = std::get<Weight>(first.op), &right = std::get<Weight>(second.op);
  std::shared_ptr<std::vector<float>> values;
  if (left.values && right.values) values = std::make_shared<std::vector<float>>(join(*left.values, *right.values));
  return rewriter.to.weight(first.name + ".joined",
                            {fmt::format(fmt::runtime(tensor), left.tensor, right.tensor), "", std::move(values)},
                            type);
}

}  // namespace

Graph fuse_projection(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (!conv || conv->epilogue.empty() || count_steps<MaxPool>(*conv) > 0) return std::nullopt;
    const auto* add = std::get_if<Add>(&conv->epilogue[0]);
    if (!add || *add != Add{}) return std::nullopt;
    const auto* shortcut = read_once<Conv2d>(rewriter, node.inputs[3]);
    if (!shortcut || !shortcut->epilogue.empty() || shortcut->padding != Sides{}) return std::nullopt;

    const Node inner = rewriter.node(rewriter.map(node.inputs[3]));
    std::vector<Value> inputs = rewriter.map(node.inputs);
    if (!is_plain_pointwise(rewriter, inner) || !is_plain_pointwise(rewriter, {node.name, node.op, inputs, node.type}))
      return std::nullopt;
    TensorType type = rewriter.node(inputs[1]).type;
    const TensorType& of_shortcut = rewriter.node(inner.inputs[1]).type;
    if (type.dtype != of_shortcut.dtype) return std::nullopt;
    const int i = type.dims[3], j = of_shortcut.dims[3];
    type.dims[3] = i + j;
    using Values = std::vector<float>;
    inputs[1] = joined(rewriter, inputs[1], inner.inputs[1], "[{}, {}]", type, [&](const Values& w, const Values& v) {
      Values rows;
      rows.reserve(w.size() + v.size());
      for (ptrdiff_t o = 0; o < type.dims[0]; o++) {
        rows.insert(rows.end(), w.begin() + o * i, w.begin() + (o + 1) * i);
        rows.insert(rows.end(), v.begin() + o * j, v.begin() + (o + 1) * j);
      }
      return rows;
    });
    if (inner.inputs.size() > 2)
      inputs[2] = joined(rewriter, inputs[2], inner.inputs[2], "{} + {}", weight_type({type.dims[0]}),
                         [](const Values& b, const Values& d) {
                           Values sums = b;
                           for (size_t c = 0; c < sums.size(); c++) sums[c] += d[c];
                           return sums;
                         });
    inputs[3] = inner.inputs[0];
    Conv2d fused = *conv;
    fused.epilogue[0] = Project{std::get<Conv2d>(inner.op).stride};
    return in_place_of(rewriter, value, std::move(fused), std::move(inputs));
  });
}

}  // namespace resnetc
