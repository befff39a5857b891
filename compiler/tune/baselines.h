// Halide's autoschedulers beside the best choices: what there is still to measure, and what a measurement says.
#pragma once

#include <optional>
#include <vector>

#include "compiler/tune/trials.h"
#include "compiler/tune/tuning.h"

namespace resnetc {

// Whether a trial under the same conditions has a baseline's time against what is best now, or says that it fails for a
// reason that lasts.
bool is_measured(const Tuning& t, const KeySearch& search, const std::vector<Trial>& trials, std::string_view baseline);

// A baseline as it is compiled for so many images, and for a device of so many multiprocessors, where that is known.
Choice baseline_choice(std::string_view baseline, int images, const DeviceLimits& limits);

// What is kept of a baseline that was timed with the best in turns. Nothing if the best did not run, or if the end of
// the budget stopped either: that says nothing of them. One that a step's own limit stopped will not keep it next time.
std::optional<Trial> baseline_trial(const Tuning& t, const KeySearch& search, const Measurement& best,
                                    const Measurement& baseline);

}  // namespace resnetc
