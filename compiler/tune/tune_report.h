// The page that `resnetc tune --report` writes: one HTML file with everything in it.
#pragma once

#include <string>
#include <vector>

#include "compiler/tune/trials.h"
#include "compiler/tune/tuning.h"
#include "compiler/tune/whole_net.h"

namespace resnetc {

// trials: of all runs on the same file, whatever they were of. nets: by name.
std::string tune_report_html(const Tuning& t, const std::vector<Trial>& trials,
                             const std::vector<std::pair<std::string, NetComparison>>& nets);

}  // namespace resnetc
