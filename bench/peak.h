// The float32 peak of one core, measured: independent multiply-adds in registers and nothing else.
#pragma once

namespace resnetc {

// GFLOP/s with the widest vectors that this CPU has.
double measured_peak_gflops();

}  // namespace resnetc
