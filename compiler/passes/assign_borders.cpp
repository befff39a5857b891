// An image gets as border, on each side, the largest padding of the convolutions that read it as their first operand;
// so each of these reads zeros there instead of checking bounds. Pools clamp and need none, and a convolution whose
// stride leaves the last rows of its padding unread gets it all the same. No other property changes.

#include <algorithm>

#include "compiler/passes.h"
#include "ir/rewrite.h"

namespace resnetc {

Graph assign_borders(const Graph& graph) {
  Graph result = without_dead_nodes(graph);
  for (Node& node : result.nodes) node.type.border = {};
  for (const Node& node : result.nodes) {
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (!conv) continue;
    const Sides& padding = conv->padding;
    Sides& border = result.nodes[static_cast<size_t>(node.inputs[0])].type.border;
    border = {std::max(border.top, padding.top), std::max(border.left, padding.left),
              std::max(border.bottom, padding.bottom), std::max(border.right, padding.right)};
  }
  return result;
}

}  // namespace resnetc
