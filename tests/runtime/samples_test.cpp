#include "runtime/program/samples.h"

#include <doctest/doctest.h>

#include <numeric>

namespace {

using resnetc::program::quantile;
using resnetc::program::Samples;

}  // namespace

TEST_CASE("samples: quantiles") {
  CHECK(quantile({3}, 0) == 3);
  CHECK(quantile({3}, 1) == 3);
  CHECK(quantile({5, 1, 4, 2, 3}, 0) == 1);
  CHECK(quantile({5, 1, 4, 2, 3}, 0.5) == 3);
  CHECK(quantile({5, 1, 4, 2, 3}, 0.99) == 5);
  std::vector<float> hundred(101);
  std::iota(hundred.rbegin(), hundred.rend(), 0.0F);
  CHECK(quantile(hundred, 0.25) == 25);
}

TEST_CASE("samples: few rows are kept as they are") {
  Samples samples(2, 10);
  for (const auto& row : {std::vector<double>{1, 2}, {3, 4}, {5, 6}}) samples.add(row.data());
  CHECK(samples.added() == 3);
  CHECK(samples.rows() == 3);
  CHECK(samples.row(1)[0] == 3);
  CHECK(samples.values({1}) == std::vector<float>{2, 4, 6});
  CHECK(samples.values({1, 0}) == std::vector<float>{2, 1, 4, 3, 6, 5});
}

TEST_CASE("samples: of many rows evenly spaced ones are kept") {
  for (const std::size_t max_rows : {2, 7, 64}) {
    Samples samples(1, max_rows);
    for (int i = 0; i < 1000; i++) {
      const double value = i;
      samples.add(&value);
      REQUIRE(samples.rows() < max_rows);
      REQUIRE(samples.rows() * 4 >= std::min<std::size_t>(max_rows, samples.added()));
    }
    CHECK(samples.added() == 1000);
    const std::vector<float> kept = samples.values({0});
    CHECK(kept[0] == 0);
    for (std::size_t i = 2; i < kept.size(); i++) CHECK(kept[i] - kept[i - 1] == kept[1] - kept[0]);
  }
}
