// The one-dimensional transforms of Winograd's minimal filtering F(m, 3) (Lavin and Gray 2016) for m = 2, 4, 5 and 6:
// m outputs of a 3-tap filter from m + 2 products, output(input(d) * weight(g)), element by element. Applied along both
// axes they give F(m x m, 3 x 3).
//
// They interpolate at 0, 1, -1 (m >= 4: 2, -2; m >= 5: 1/2; m = 6: -1/2) and infinity; winograd_transforms_test.cpp
// derives all constants from these points. The usual weight transform is a whole matrix with each row scaled by a
// number such as 1/24; here the output transform has that scale, so that weights, which are transformed the most, take
// the fewest operations, and sums of small integers are exact up to it.
#pragma once

#include <cstddef>
#include <vector>

namespace resnetc {

// Error of F(m x m, 3 x 3) in float32 on normal random inputs and weights of 128 channels: |result - exact| <= bound *
// the largest sum of |input| |weight| over a window of the image; direct summation in order stays below 2e-6. The
// largest seen is less than a tenth of it. The error of a pixel grows with all inputs of its tile, also those outside
// of its own window. The bound has no term for the length of sums: thousands of terms of one sign round more, however
// summed.
constexpr double winograd_error_bound(int m) {
  return m == 2 ? 4e-6 : m == 4 ? 2e-5 : m == 5 ? 4e-5 : 1e-4;
}

// T: double, or Halide::Expr. Equal terms are one object, so that Halide computes them once; or Operations.
template <class T>
std::vector<T> winograd_weight(int m, const std::vector<T>& g) {
  const T ends = g[0] + g[2];
  if (m == 2) return {g[0], ends + g[1], ends - g[1], g[2]};
  const T twice = g[1] * T(2.0f), two = g[0] + g[2] * T(4.0f);
  if (m == 4) return {g[0], ends + g[1], ends - g[1], two + twice, two - twice, g[2]};
  const T half = g[0] * T(4.0f) + g[2];
  if (m == 5) return {g[0], ends + g[1], ends - g[1], two + twice, two - twice, half + twice, g[2]};
  return {g[0], ends + g[1], ends - g[1], two + twice, two - twice, half + twice, half - twice, g[2]};
}

template <class T>
std::vector<T> winograd_input(int m, const std::vector<T>& d) {
  if (m == 2) return {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]};
  if (m == 4) {
    const T even1 = d[4] - d[2] * T(4.0f), odd1 = d[3] - d[1] * T(4.0f);
    const T even2 = d[4] - d[2], odd2 = (d[3] - d[1]) * T(2.0f);
    return {d[0] * T(4.0f) + (d[4] - d[2] * T(5.0f)), even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
            d[1] * T(4.0f) + (d[5] - d[3] * T(5.0f))};
  }
  if (m == 5) {
    const T odd = d[5] + (d[1] * T(4.0f) - d[3] * T(5.0f)), half = T(0.5f);
    const T even1 = d[5] - d[3] * T(4.0f) - (d[4] - d[2] * T(4.0f)) * half,
            odd1 = d[4] - d[2] * T(4.0f) - (d[3] - d[1] * T(4.0f)) * half;
    const T even2 = d[5] - d[3] - (d[4] - d[2]) * half, odd2 = (d[4] - d[2]) * T(2.0f) - (d[3] - d[1]);
    return {odd - (d[4] + (d[0] * T(4.0f) - d[2] * T(5.0f))) * half,
            even1 + odd1,
            even1 - odd1,
            even2 + odd2,
            even2 - odd2,
            odd,
            d[6] + (d[2] * T(4.0f) - d[4] * T(5.0f)) - odd * half};
  }
  const T even1 = d[2] + d[6] - d[4] * T(4.25f), odd1 = d[1] + d[5] - d[3] * T(4.25f);
  const T even2 = d[6] + d[2] * T(0.25f) - d[4] * T(1.25f);
  const T odd2 = d[1] * T(0.5f) - d[3] * T(2.5f) + d[5] * T(2.0f);
  const T even3 = d[6] + (d[2] * T(4.0f) - d[4] * T(5.0f));
  const T odd3 = d[1] * T(2.0f) - d[3] * T(2.5f) + d[5] * T(0.5f);
  return {d[0] - d[6] + (d[4] - d[2]) * T(5.25f),
          even1 + odd1,
          even1 - odd1,
          even2 + odd2,
          even2 - odd2,
          even3 + odd3,
          even3 - odd3,
          d[7] - d[1] + (d[3] - d[5]) * T(5.25f)};
}

template <class T>
std::vector<T> winograd_output(int m, const std::vector<T>& s) {
  if (m == 2) {
    const T half = T(0.5f);
    return {s[0] + (s[1] + s[2]) * half, (s[1] - s[2]) * half + s[3]};
  }
  if (m == 4) {
    const T sixth = T(-1.0f / 6.0f), small = T(1.0f / 24.0f);
    const T even1 = (s[1] + s[2]) * sixth, odd1 = (s[1] - s[2]) * sixth;
    const T even2 = (s[3] + s[4]) * small, odd2 = (s[3] - s[4]) * small;
    return {s[0] * T(0.25f) + even1 + even2, odd1 + odd2 * T(2.0f), even1 + even2 * T(4.0f),
            odd1 + odd2 * T(8.0f) + s[5]};
  }
  if (m == 5) {
    const T one = s[1] * T(-1.0f / 3.0f), minus_one = s[2] * T(1.0f / 9.0f), two = s[3] * T(1.0f / 36.0f),
            minus_two = s[4] * T(-1.0f / 60.0f), half = s[5] * T(8.0f / 45.0f);
    const T even1 = one + minus_one, odd1 = one - minus_one, even2 = two + minus_two, odd2 = two - minus_two;
    return {even1 + even2 + half - s[0] * T(0.5f), odd1 + odd2 * T(2.0f) + half * T(0.5f),
            even1 + even2 * T(4.0f) + half * T(0.25f), odd1 + odd2 * T(8.0f) + half * T(0.125f),
            even1 + even2 * T(16.0f) + half * T(0.0625f) + s[6]};
  }
  const T ninth = T(-2.0f / 9.0f), small = T(1.0f / 90.0f), large = T(8.0f / 45.0f);
  const T even1 = (s[1] + s[2]) * ninth, odd1 = (s[1] - s[2]) * ninth;
  const T even2 = (s[3] + s[4]) * small, odd2 = (s[3] - s[4]) * small;
  const T even3 = (s[5] + s[6]) * large, odd3 = (s[5] - s[6]) * large;
  return {s[0] + even1 + even2 + even3,
          odd1 + odd2 * T(2.0f) + odd3 * T(0.5f),
          even1 + even2 * T(4.0f) + even3 * T(0.25f),
          odd1 + odd2 * T(8.0f) + odd3 * T(0.125f),
          even1 + even2 * T(16.0f) + even3 * T(0.0625f),
          odd1 + odd2 * T(32.0f) + odd3 * T(0.03125f) + s[7]};
}

// A tile whose last `over` outputs along an axis nobody wants, as where it reaches over the edge of an image, does
// without so many of its products, the last ones. Infinity's goes into the last output alone. The one before is zero if
// d[m] is winograd_beyond(m, d), and d[m] and d[m + 1] reach only the last two outputs.
constexpr int winograd_spared(int over) {
  return over < 2 ? over : 2;
}
template <class T>
T winograd_beyond(int m, const std::vector<T>& d) {
  if (m == 4) return d[2] + (d[3] - d[1]) * T(2.0f);
  if (m == 5) return d[3] * T(5.0f) - d[1] * T(4.0f);
  return d[1] * T(2.0f) - d[2] * T(4.0f) - d[3] * T(2.5f) + d[4] * T(5.0f) + d[5] * T(0.5f);
}

// Counts the operations of a transform instead of computing it.
struct Operations {
  Operations() = default;
  explicit Operations(float) {}
  static int& count() {
    static thread_local int value = 0;
    return value;
  }
};
inline Operations operator+(Operations, Operations) {
  return Operations::count()++, Operations();
}
inline Operations operator-(Operations, Operations) {
  return Operations::count()++, Operations();
}
inline Operations operator*(Operations, Operations) {
  return Operations::count()++, Operations();
}

using CountedTransform = std::vector<Operations> (*)(int, const std::vector<Operations>&);
inline int transform_operations(CountedTransform transform, int m, int values) {
  const int before = Operations::count();
  transform(m, std::vector<Operations>(static_cast<size_t>(values)));
  return Operations::count() - before;
}
inline int winograd_operations(CountedTransform transform, int m) {
  return transform_operations(transform, m, m + 2);
}

// at(0), .., at(count - 1): what a transform takes along an axis.
template <class At>
auto along(int count, const At& at) {
  std::vector<decltype(at(0))> values;
  for (int s = 0; s < count; s++) values.push_back(at(s));
  return values;
}

}  // namespace resnetc
