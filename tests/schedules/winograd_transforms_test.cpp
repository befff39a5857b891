// The constants of the transforms, derived from their points in exact arithmetic.
#include "schedules/winograd_transforms.h"

#include "tests/schedules/toom_cook.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

// As many points as F(m, 3) needs beside infinity.
Row points_of(int m) {
  const Row all = {{0, 1}, {1, 1}, {-1, 1}, {2, 1}, {-2, 1}, {1, 2}, {-1, 2}};
  return {all.begin(), all.begin() + m + 1};
}

}  // namespace

TEST_CASE("winograd transforms: Toom-Cook's of 0, 1, -1, 2, -2, 1/2, -1/2 and infinity") {
  for (const int m : {2, 4, 5, 6}) {
    CAPTURE(m);
    const auto size = static_cast<size_t>(m + 2);
    check_toom_cook(points_of(m), matrix_of(winograd_weight, m, 3), matrix_of(winograd_input, m, size),
                    matrix_of(winograd_output, m, size));
  }
}

TEST_CASE("winograd transforms: three taps, exactly") {
  for (const int m : {2, 4, 5, 6})
    for (size_t k = 0; k < 3; k++)
      for (size_t i = 0; i < static_cast<size_t>(m + 2); i++) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(i);
        const Row weight = winograd_weight(m, unit(3, k)),
                  input = winograd_input(m, unit(static_cast<size_t>(m + 2), i));
        Row products;
        for (size_t p = 0; p < weight.size(); p++) products.push_back(weight[p] * input[p]);
        const Row y = winograd_output(m, products);
        for (size_t j = 0; j < y.size(); j++) CHECK(y[j] == Rational(j + k == i, 1));
      }
}

TEST_CASE("winograd transforms: products that a tile is spared are zero, or reach no output that is wanted") {
  for (const int m : {2, 4, 5, 6})
    for (int over = 1; over < m; over++) {
      CAPTURE(m);
      CAPTURE(over);
      const auto size = static_cast<size_t>(m + 2), wanted = static_cast<size_t>(m - over);
      const size_t kept = size - static_cast<size_t>(winograd_spared(over));
      for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < wanted + 2; i++) {
          CAPTURE(k);
          CAPTURE(i);
          Row d = unit(size, i);
          if (winograd_spared(over) == 2) d[static_cast<size_t>(m)] = winograd_beyond(m, d);
          const Row weight = winograd_weight(m, unit(3, k)), input = winograd_input(m, d);
          Row products(size, Rational(0, 1));
          for (size_t p = 0; p < kept; p++) products[p] = weight[p] * input[p];
          if (winograd_spared(over) == 2) CHECK(input[size - 2] == Rational(0, 1));
          const Row y = winograd_output(m, products);
          for (size_t j = 0; j < wanted; j++) CHECK(y[j] == Rational(j + k == i, 1));
        }
    }
}
