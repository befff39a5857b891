// From the block form to the graph.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/topology.h"
#include "ir/graph.h"

namespace resnetc {

// The net as PyTorch would run it: convolution, batch norm, ReLU and add each a node. Weights carry the names of their
// tensors and no values yet. Throws Error if the input is too small for the strides, or the net larger than 2^31
// parameters or 2^31 elements in one activation.
Graph build_resnet(const Topology& net);

// What the names of the head's tensors begin with: "fc." or "linear.".
std::string head_prefix(TensorNames names);

}  // namespace resnetc
