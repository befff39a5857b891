// The one-dimensional transforms of a 3-tap filter of stride 2, y[j] = g0 x[2j] + g1 x[2j+1] + g2 x[2j+2], for m = 2
// and 4 outputs. On the even inputs it is a 2-tap filter, which Winograd's F(m, 2) makes of m + 1 products, on the odd
// ones a single tap, m products. These are combined so that they add to the sums of m of the m + 1 products, and the
// output transform of F(m, 2) gives g1 x[2j+1] back: 2 m + 1 products for m + 1 sums. Applied along both axes they give
// m x m outputs.
//
// F(m, 2) interpolates at 0, 1, infinity (m = 4: -1 and 2). What the products of the odd inputs take of them is the
// inverse of the output transform's columns for the sums that they add to. winograd_phase_transforms_test.cpp derives
// all constants from that. The output transform has the scale of each row, so that weights take the fewest operations.
// With m = 2 there is none: integers are exact. Errors stay below winograd_error_bound(m) of winograd_transforms.h: the
// largest seen are a tenth of it.
#pragma once

#include <vector>

namespace resnetc {

// For each sum which of products m + 1 to 2 m adds to it besides its own, the product of that index; -1: none.
inline std::vector<int> phase_second_products(int m) {
  return m == 2 ? std::vector{3, -1, 4} : std::vector{5, 6, 7, -1, 8};
}

template <class T>
std::vector<T> phase_weight(int m, const std::vector<T>& g) {
  const T both = g[0] + g[2];
  if (m == 2) return {g[0], both, g[2], g[1], g[1]};
  return {g[0], both, g[0] - g[2], g[0] + g[2] * T(2.0f), g[2], g[1], g[1], g[1], g[1]};
}

// d: 2 m + 1 inputs.
template <class T>
std::vector<T> phase_input(int m, const std::vector<T>& d) {
  if (m == 2) return {d[0] - d[2], d[2], d[4] - d[2], d[1], d[3]};
  const T difference = d[6] - d[2];
  return {d[6] - d[4] * T(2.0f) - d[2] + d[0] * T(2.0f),
          d[2] * T(2.0f) + d[4] - d[6],
          d[6] - d[4] * T(3.0f) + d[2] * T(2.0f),
          difference,
          d[8] - d[4] - difference * T(2.0f),
          (d[1] - d[5]) * T(2.0f),
          d[3] + d[5],
          (d[3] - d[5]) * T(3.0f),
          d[7] - d[3]};
}

// s: m + 1 sums.
template <class T>
std::vector<T> phase_output(int m, const std::vector<T>& s) {
  if (m == 2) return {s[0] + s[1], s[1] + s[2]};
  const T half = T(0.5f), sixth = T(1.0f / 6.0f);
  const T one = s[1] * half, minus = s[2] * sixth, two = s[3] * sixth, even = one - minus, odd = one + minus;
  return {s[0] * half + even + two, odd + two * T(2.0f), even + two * T(4.0f), odd + two * T(8.0f) + s[4]};
}

}  // namespace resnetc
