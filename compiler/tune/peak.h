// What this CPU can do at most: what the shares in records and in the report are of.
#pragma once

#include <vector>

#include "compiler/tune/tuning.h"

namespace resnetc {

// Reads it with the target's vectors, unless that was done a moment ago. Of a run's readings the largest counts: what
// else runs on the machine makes one smaller only. A device's peak is measured when it is described.
void read_peak(Tuning& t);

// What a kernel reaches that performs all the operations it counts is a lower bound of the peak.
void raise_peak(Tuning& t, const KeySearch& search, const std::vector<Measurement>& measured);

}  // namespace resnetc
