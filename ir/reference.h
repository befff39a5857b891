// The oracle: every op as plain loops over float32. Slow on purpose where speed would cost clarity.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

// Dense values, last dimension innermost; images NHWC without border, the batch as dims[0].
struct Tensor {
  std::vector<int> dims;
  std::vector<float> values;
  bool operator==(const Tensor&) const = default;
};

// The values of the graph's outputs. The input's batch is free. Every weight must have values. The same bits for
// every thread count and on every machine (no fused multiply-add). before_node is called before each node, and may
// throw to end what can take minutes.
std::vector<Tensor> evaluate(const Graph& graph, const Tensor& input, int threads = 1,
                             const std::function<void()>& before_node = {});

// One op on values; weights come as tensors too.
Tensor evaluate_op(const Op& op, const std::vector<const Tensor*>& inputs, int threads = 1);

}  // namespace resnetc
