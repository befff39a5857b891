#include "runtime/program/machine_peak.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "runtime/cpu.h"
#include "runtime/description.h"

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
    CHECK(peak.readings == 5);
    CHECK(std::string(peak.vectors) != "");
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("machine_peak: readings together") {
  const MachinePeak first{"c", "v", 1e9, 20e9, 0.3, 1, 1e9, 20e9}, second{"c", "v", 2e9, 10e9, 0.2, 3, 0.5e9, 9e9};
  for (const MachinePeak& both : {together(first, second), together(second, first)}) {
    CHECK(both.flops == 2e9);
    CHECK(both.bytes == 20e9);
    CHECK(both.hand_over == 0.2);
    CHECK(both.readings == 4);
    CHECK(both.least_flops == 0.5e9);
    CHECK(both.least_bytes == 9e9);
  }
}

TEST_CASE("machine_peak: readings that scatter are noted") {
  CHECK(scatter_note({"", "", 100e9, 40e9, 0, 5, 91e9, 31e9}) == "");
  CHECK(scatter_note({"", "", 100e9, 40e9, 0, 5, 89e9, 31e9}) ==
        "5 readings scatter, peak from 89.0 to 100.0 GFLOP/s: something else used the machine or its host");
  CHECK(scatter_note({"", "", 100e9, 40e9, 0, 5, 50e9, 20e9}) ==
        "5 readings scatter, peak from 50.0 to 100.0 GFLOP/s; memory from 20.0 to 40.0 GB/s: something else used the "
        "machine or its host");
}

TEST_CASE("machine_peak: bringing threads together takes longer than calling a function") {
  MachineMeter meter(2);
  meter.read();
  CHECK(meter.peak().readings == 1);
  const double once = meter.peak().flops;
  CHECK(meter.peak().least_flops == once);
  CHECK(meter.peak().hand_over > 1e-8);  // light goes three metres
  meter.read();
  CHECK(meter.peak().readings == 2);
  CHECK(meter.peak().flops >= once);
  CHECK(meter.peak().least_flops <= once);
}

TEST_CASE("machine_peak: narrower vectors reach less, and only what was allowed is used") {
  const auto read = [](std::uint32_t features) {
    MachineMeter meter(1, features);
    for (int i = 0; i < 3; i++) meter.read();
    return meter.peak();
  };
  const MachinePeak narrow = read(0), widest = read(~std::uint32_t{0});
  CHECK(std::string(narrow.vectors) == "SSE");
  const std::uint32_t avx2 = rn_cpu_avx | rn_cpu_avx2 | rn_cpu_fma;
  if (~resnetc::runtime::cpu_features() & avx2) return;
  CHECK(std::string(read(avx2).vectors) == "AVX2 multiply-add");
  CHECK(widest.flops > 1.5 * narrow.flops);  // 4 times at least, on a machine of its own
}
