// The end of tuning: whole nets decide which of its wins stand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compiler/tune/tune_progress.h"
#include "compiler/tune/tuning.h"
#include "compiler/tune/whole_net.h"

namespace resnetc {

using NamedComparisons = std::vector<std::pair<std::string, NetComparison>>;

// The net's comparison; an earlier one gives its place to it.
void put(NamedComparisons& comparisons, const std::string& net, const NetComparison& comparison);

// Seconds of the budget that check_nets needs: half of it at most, and nothing where that would not do for any net.
double check_reserve(const Tuning& t);

// Drops wins that are none in whole nets and confirms the others. A net for which there is no time is left out: its
// wins stay provisional. comparisons: by the nets' names; those that are known where it throws Error.
void check_nets(Tuning& t, TuneProgress& progress, NamedComparisons& comparisons);

}  // namespace resnetc
