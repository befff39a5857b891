#include "compiler/tune/peak.h"

#include <doctest/doctest.h>

#include "tests/compiler/tune/baseline_trials.h"

using namespace resnetc;

TEST_CASE("a kernel that performs what it counts raises the peak to what it reaches, one of Winograd's does not") {
  Tuning t = test::tuning_of_one_kernel();
  const KeySearch& search = t.keys[0];
  double read = 100;
  const auto peak_after = [&](const char* strategy, double milliseconds, double ratio, const char* failure = "") {
    t.peak_gflops = read;
    raise_peak(t, search, {{{strategy, {}}, failure, milliseconds, ratio}});
    return t.peak_gflops;
  };
  const double at_peak = static_cast<double>(flop_count(search.key)) / 100 * 1e-6;
  CHECK(peak_after("conv2d_direct", at_peak / 2, 1) == doctest::Approx(200));
  CHECK(peak_after("conv2d_direct", at_peak * 2, 1) == 100);
  CHECK(peak_after("conv2d_winograd", at_peak / 2, 1) == 100);
  CHECK(peak_after("conv2d_direct", at_peak / 2, 0) == 100);  // timed a few times only
  CHECK(peak_after("conv2d_direct", at_peak / 2, 1, "it failed") == 100);
  read = 0;
  CHECK(peak_after("conv2d_direct", at_peak / 2, 1) == 0);
}
