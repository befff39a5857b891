// add(conv2d(..), y) -> conv2d(..) | add(y)
// add(x, conv2d(..)) -> conv2d(..) | add(x)   only a plain add: subsample and channels_before mean the second operand
//
// When nothing else reads the conv2d, and it has no ReLU, no max pool and fewer than most_epilogue_operands operands
// yet. If both operands qualify, the first. The fused node stands where the add stood, so that y is defined by then.

#include "compiler/passes.h"
#include "compiler/passes/fusion.h"

namespace resnetc {

Graph fuse_residual_add(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    const auto* add = std::get_if<Add>(&node.op);
    if (!add) return std::nullopt;
    const auto takes_add = [&](Value operand) {
      const auto* conv = read_once<Conv2d>(rewriter, operand);
      return conv && count_steps<Relu>(*conv) == 0 && count_steps<MaxPool>(*conv) == 0 &&
             epilogue_operands(*conv) < most_epilogue_operands;
    };
    const Value x = node.inputs[0], y = node.inputs[1];
    if (takes_add(x)) return fuse_into_conv(rewriter, value, x, *add, rewriter.map(y));
    if (*add == Add{} && takes_add(y)) return fuse_into_conv(rewriter, value, y, *add, rewriter.map(x));
    return std::nullopt;
  });
}

}  // namespace resnetc
