#include "compiler/passes/fusion.h"

namespace resnetc {

Value in_place_of(Rewriter& rewriter, Value old_value, Op op, std::vector<Value> inputs) {
  const Node& old = rewriter.from[old_value];
  const Value value = rewriter.to.add(old.name, std::move(op), std::move(inputs));
  rewriter.to.node(value).type.border = old.type.border;
  return value;
}

Value fuse_into_conv(Rewriter& rewriter, Value old_value, Value conv, Epilogue step, std::optional<Value> residual) {
  Node node = rewriter.node(rewriter.map(conv));
  if (node.inputs.size() == 2) {
    const int oc = node.type.channels();
    const auto zeros = std::make_shared<std::vector<float>>(static_cast<size_t>(oc), 0.0f);
    node.inputs.push_back(rewriter.to.weight(node.name + ".bias", {"zero", "", zeros}, weight_type({oc})));
  }
  if (residual) node.inputs.push_back(*residual);
  auto& fused = std::get<Conv2d>(node.op);
  fused.epilogue.push_back(step);
  return in_place_of(rewriter, old_value, std::move(fused), std::move(node.inputs));
}

}  // namespace resnetc
