// Random weights for measuring and testing nets of which nobody has trained ones.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace resnetc {

// Gives every weight of the graph values that follow from the seed, the name of its tensor and what it is for: the same
// bits on every machine and in any order. Activations keep their magnitude through any depth, logits are of order 1.
void fill_random_weights(Graph& graph, uint64_t seed);

}  // namespace resnetc
