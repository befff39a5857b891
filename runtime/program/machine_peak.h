// What this machine can do at most, measured on the spot with threads of the runtime's own pool.
#ifndef RESNETC_RUNTIME_PROGRAM_MACHINE_PEAK_H
#define RESNETC_RUNTIME_PROGRAM_MACHINE_PEAK_H

#include <string>

namespace resnetc::program {

struct MachinePeak {
  std::string cpu;      // its name, "" where it has none
  const char* vectors;  // what the peak was reached with
  double flops;         // float32 operations a second of all threads: multiply-adds in registers and nothing else
  double bytes;         // a second that all threads read from a buffer larger than the last-level cache
  double hand_over;     // median seconds of a parallel loop whose tasks do nothing
};

// Takes some 0.5 s. Throws Error.
MachinePeak measure_machine(int threads);

// Of two measurements, the better of each figure.
MachinePeak better(const MachinePeak& a, const MachinePeak& b);

}  // namespace resnetc::program

#endif
