// What this CPU can do at most: what the shares in records and in the report are of.
#pragma once

#include <vector>

#include "compiler/tune/tuning.h"

namespace resnetc {

// Reads it with the target's vectors, unless that was tried a moment ago; where another tuner has the machine, or there
// is no memory, it is left for another time. Of a run's readings the largest counts: what else runs on the machine
// makes one smaller only. A device's peak is measured when it is described. Throws Error when it is interrupted.
void read_peak(Tuning& t);

// What a kernel reaches that performs all the operations it counts is a lower bound of the peak; where there is no
// reading, it is not the peak.
void raise_peak(Tuning& t, const KeySearch& search, const std::vector<Measurement>& measured);

}  // namespace resnetc
