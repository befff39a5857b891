// Weights of 3x3 convolutions in the orders that Winograd's kernels read, from Conv2dGeometry's: of each block of
// output channels nine planes, tap by tap, each with the block's channels side by side for one input channel after the
// other.
#pragma once

#include <vector>

namespace resnetc {

// Of each block (m + 2) x (m + 2) planes of transformed weights in place of the nine, the same within a plane.
std::vector<float> transformed_weights(const std::vector<float>& weights, int m, int blocks);

// Of each block the nine taps of one input channel behind those of another. block: its output channels.
std::vector<float> weights_by_channel(const std::vector<float>& weights, int block, int blocks);

}  // namespace resnetc
