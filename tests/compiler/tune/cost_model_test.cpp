#include "compiler/tune/cost_model.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace resnetc;

namespace {

Choice choice(int pixels, int vectors) {
  return {"direct", {{"pixels", pixels}, {"vectors", vectors}}};
}

// A machine on which estimates are off by a factor for each parameter value and each key.
double true_time(int key, int pixels, int vectors) {
  return 1e-6 * (key + 1) * (pixels == 4 ? 1.5 : 1.0) * (vectors == 3 ? 0.7 : 1.0);
}

}  // namespace

TEST_CASE("without measurements the estimate itself is the prediction") {
  CostModel model;
  CHECK(model.predict("k", choice(1, 1), 123) == doctest::Approx(123));
}

TEST_CASE("what was measured of some keys orders the candidates of another") {
  CostModel model;
  for (int key = 0; key < 4; key++)
    for (int pixels : {2, 4, 6})
      for (int vectors : {1, 2, 3})
        if ((key + pixels + vectors) % 4 != 0)
          model.add(std::to_string(key), choice(pixels, vectors), 1000, 1000 * true_time(key, pixels, vectors));
  const double best = model.predict("new", choice(6, 3), 1000);
  for (int pixels : {2, 4, 6})
    for (int vectors : {1, 2, 3}) {
      const double expected = true_time(0, pixels, vectors) / true_time(0, 6, 3);
      CHECK(model.predict("new", choice(pixels, vectors), 1000) / best == doctest::Approx(expected).epsilon(0.15));
    }
  // A key that was measured is predicted in milliseconds.
  CHECK(model.predict("2", choice(2, 2), 1000) == doctest::Approx(1000 * true_time(2, 2, 2)).epsilon(0.15));
}
