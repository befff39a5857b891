// relu(conv2d(..)) -> conv2d(..) | relu   if a step may follow: no max pool there yet, and not a ReLU already
// relu(scale_shift(..)) -> scale_shift(..) relu=1   if the ReLU has no maximum
//
// When nothing else reads the operand.

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {

Graph fuse_relu(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    const auto* relu = std::get_if<Relu>(&node.op);
    if (!relu) return std::nullopt;
    const Value x = node.inputs[0];
    if (const auto* conv = read_once<Conv2d>(rewriter, x)) {
      const bool ends_in_relu = !conv->epilogue.empty() && std::holds_alternative<Relu>(conv->epilogue.back());
      if (!ends_in_relu && count_steps<MaxPool>(*conv) == 0) return fuse_into_conv(rewriter, value, x, *relu);
    }
    if (relu->maximum == 0 && read_once<ScaleShift>(rewriter, x))
      return in_place_of(rewriter, value, ScaleShift{true}, rewriter.node(rewriter.map(x)).inputs);
    return std::nullopt;
  });
}

}  // namespace resnetc
