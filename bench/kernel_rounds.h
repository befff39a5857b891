// Times kernels alone, as the tuner does: in the runtime's own pool, with operands as an emitted program has them, each
// checked against the reference evaluator first.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "runtime/program/machine_peak.h"
#include "schedules/strategy.h"

namespace resnetc {

struct RoundsOptions {
  std::string target;
  int threads = 1;
  int batch = 1;                 // images of a call
  int rounds = 5;                // odd, so that a median is a figure of one round
  std::filesystem::path folder;  // for objects, removed by the caller
  std::filesystem::path cache;   // of compiled kernels, or empty
};

struct Milliseconds {
  double median = 0;  // over the rounds, of each round's median call
  double least = 0;   // of all calls: what neighbours disturb least
};

struct KernelTimes {
  std::string failure;     // of compiling, running or checking; empty if it was timed
  Milliseconds hot, cold;  // the weights the same and in the caches, and thrown out of all caches before each call
};

// One for each, in order. In a round each kernel is called for some 0.02 s hot and some 0.02 s cold, beginning with
// another kernel each time; the peak is read before each round and after the last. Throws Error.
std::vector<KernelTimes> time_in_rounds(const std::vector<std::pair<KernelKey, Choice>>& kernels,
                                        const RoundsOptions& options, program::MachineMeter& meter);

}  // namespace resnetc
