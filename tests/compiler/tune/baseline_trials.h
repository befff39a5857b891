// A tuning of one kernel, and trials of a baseline on it.
#pragma once

#include "compiler/tune/trials.h"
#include "compiler/tune/tuning.h"

namespace resnetc::test {

inline const char* const baseline = "halide_mullapudi2016";

inline Tuning tuning_of_one_kernel() {
  Tuning t{{}, machine_for("x86-64-linux-avx2-fma", 2)};
  t.options.threads = 2;
  t.hardware = "A CPU";
  t.keys.push_back(start_search(parse_key("conv2d_i14x14x32_w48x1x1x32_w48_to_i14x14x48_relu_f32"), 3, t.machine, {}));
  return t;
}

// milliseconds 0: it failed.
inline Trial baseline_of(const Tuning& t, double milliseconds, double ratio, const Choice& against) {
  return {record_of(t, t.keys[0], {baseline, {{"batch", 1}}}, milliseconds), milliseconds > 0 ? "" : "it failed", 1,
          ratio, to_string(against)};
}

}  // namespace resnetc::test
