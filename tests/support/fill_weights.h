// Gives weights small integer values, fixed by their tensor's name, so that every sum of a small net is exact in
// float32 whatever its order. A variance is 1, 4 or 16 and a gamma 1 or 2: with epsilon=0 a batch norm scales by a
// power of two.
#pragma once

#include "ir/graph.h"
#include "ir/reference.h"

namespace resnetc {

enum class WeightRole { plain, gamma, variance };

std::vector<float> integer_values(const std::string& tensor, WeightRole role, int64_t count);

// Values for each weight that has none.
Graph fill_weights(Graph graph);

// An input for the graph: integers from -2 to 2.
Tensor integer_input(const Graph& graph, int batch, unsigned seed);

}  // namespace resnetc
