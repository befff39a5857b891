// What the passes share: replacing a node, and giving a convolution one more step to its epilogue.
#pragma once

#include <optional>

#include "ir/rewrite.h"

namespace resnetc {

// Adds op with the name and the border of old_value, whose place it takes.
Value in_place_of(Rewriter& rewriter, Value old_value, Op op, std::vector<Value> inputs);

// The op that old_value has become, if it is an AnyOp and is read only once; else nullptr. Valid until a node is added.
template <class AnyOp>
const AnyOp* read_once(const Rewriter& rewriter, Value old_value) {
  if (rewriter.uses[static_cast<size_t>(old_value)] != 1) return nullptr;
  return std::get_if<AnyOp>(&rewriter.node(rewriter.map(old_value)).op);
}

template <class Step>
size_t count_steps(const Conv2d& conv) {
  size_t count = 0;
  for (const Epilogue& step : conv.epilogue) count += std::holds_alternative<Step>(step);
  return count;
}

// old_value(conv2d(..)) -> conv2d(..) | step, where conv is the old value of the convolution and residual the new one
// of an Add's operand. A convolution without bias gets one of zeros.
Value fuse_into_conv(Rewriter& rewriter, Value old_value, Value conv, Epilogue step,
                     std::optional<Value> residual = std::nullopt);

}  // namespace resnetc
