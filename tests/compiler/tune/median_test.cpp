#include "compiler/tune/median.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("of an even number the median is the upper one in the middle, of none zero") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({4, 1, 3, 2}) == 3);
  CHECK(median({5, 1, 3}) == 3);
}

TEST_CASE("a ratio is taken round by round, so that a slow round of both does not count") {
  const Ratio r = median_ratio({0.9, 9, 90, 0.9, 0.9}, {1, 10, 100, 1, 1});
  CHECK(r.ratio == doctest::Approx(0.9));
  CHECK(r.noise == doctest::Approx(0));
}

TEST_CASE("the noise is twice the standard error of the median") {
  // Ratios 0.8, 0.9, 1.0, 1.1, 1.2: deviations 0.2, 0.1, 0, 0.1, 0.2, in the middle 0.1.
  const Ratio r = median_ratio({0.8, 0.9, 1.0, 1.1, 1.2}, {1, 1, 1, 1, 1});
  CHECK(r.ratio == doctest::Approx(1));
  CHECK(r.noise == doctest::Approx(2 * 1.2533 * 0.1 * 1.4826 / std::sqrt(5)));
  // Of four times as many rounds, half.
  std::vector<double> a, b(20, 1.0);
  for (int i = 0; i < 4; i++)
    for (const double v : {0.8, 0.9, 1.0, 1.1, 1.2}) a.push_back(v);
  CHECK(median_ratio(a, b).noise == doctest::Approx(r.noise / 2));
  // One outlier does not widen it.
  CHECK(median_ratio({0.8, 0.9, 1.0, 1.1, 99}, {1, 1, 1, 1, 1}).noise == doctest::Approx(r.noise));
}
