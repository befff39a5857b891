// Seconds on a clock that never goes back.
#ifndef RESNETC_RUNTIME_PROGRAM_CLOCK_H
#define RESNETC_RUNTIME_PROGRAM_CLOCK_H

#include <chrono>

namespace resnetc::program {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace resnetc::program

#endif
