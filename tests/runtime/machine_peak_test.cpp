#include "runtime/program/machine_peak.h"

#include <doctest/doctest.h>

#include <chrono>

namespace {

using namespace resnetc::program;

}  // namespace

// Bounds that no machine of these years misses, however busy it is.
TEST_CASE("machine_peak: what is measured is possible") {
  const auto start = std::chrono::steady_clock::now();
  for (const int threads : {1, 2}) {
    const MachinePeak peak = measure_machine(threads);
    CHECK(peak.flops > 0.1e9);
    CHECK(peak.flops < threads * 64 * 8e9);  // 64 operations a cycle
    CHECK(peak.bytes > 1e7);
    CHECK(peak.bytes < 2e12);
    CHECK(peak.hand_over >= 0);
    CHECK(peak.hand_over < 1);
    CHECK(std::string(peak.vectors) != "");
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("machine_peak: the better of two") {
  const MachinePeak both = better({"c", "v", 1, 20, 0.3}, {"c", "v", 2, 10, 0.2});
  CHECK(both.flops == 2);
  CHECK(both.bytes == 20);
  CHECK(both.hand_over == 0.2);
}
