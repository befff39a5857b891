#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace resnetc {

// The upper one of the two in the middle where their number is even; 0 of none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Ratio {
  double ratio = 0;  // median over rounds of (a's time / b's time)
  double noise = 0;  // twice its standard error
};

// a[i], b[i]: times in the same round, so that what disturbs both alike does no harm. The median absolute deviation of
// a normal distribution is sigma / 1.4826; the standard error of a median is 1.2533 sigma / sqrt(n).
inline Ratio median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> values;
  for (size_t i = 0; i < a.size(); i++) values.push_back(a[i] / b[i]);
  Ratio result{median(values), 0};
  for (double& value : values) value = std::abs(value - result.ratio);
  result.noise = 2 * 1.2533 * 1.4826 * median(values) / std::sqrt(static_cast<double>(a.size()));
  return result;
}

}  // namespace resnetc
