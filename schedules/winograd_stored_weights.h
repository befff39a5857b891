// Weights of 3x3 convolutions as conv2d_winograd stores them transformed.
#pragma once

#include <cstddef>
#include <vector>

namespace resnetc {

// plain: blocks of 3 x 3 planes, each of `plane` values; gives blocks of (m + 2) x (m + 2) planes, transformed for
// F(m x m, 3 x 3) in double and rounded once.
std::vector<float> winograd_stored_weights(int m, const std::vector<float>& plain, size_t plane);

}  // namespace resnetc
