// Candidates of one kernel take turns in being timed: what disturbs the machine disturbs all of them alike.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace resnetc {

struct Contender {
  size_t index;
  std::function<double()> time;  // seconds of one call; throws Error
  std::vector<double> seconds = {};
};

struct TurnsOptions {
  // What takes so many times as long as the fastest in the first round is dropped at once; that round only counts where
  // it is no single call.
  double hopeless = std::numeric_limits<double>::infinity();
  std::function<double()> now;  // seconds
  // From then on only the first and the fastest two are left, with three rounds.
  double deadline = std::numeric_limits<double>::infinity();
};

struct Turns {
  size_t index;
  double seconds;               // median over all rounds that it took part in
  double ratio = 0, noise = 0;  // to the first, as median_ratio; only of those that reached the last stage
};

// A kernel that ran before does so no longer. What it left of the device is nothing to time others on.
struct KernelFailed {
  size_t object;
  std::string failure;
};

// After each stage the slower half is dropped (successive halving), but never the first; the last three have 15 rounds
// or more. report: of each as soon as it is known. Throws KernelFailed.
void time_in_turns(std::vector<Contender> contenders, const TurnsOptions& options,
                   const std::function<void(const Turns&)>& report);

}  // namespace resnetc
