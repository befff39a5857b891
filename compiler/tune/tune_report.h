// The page that `resnetc tune --report` writes: one HTML file with everything in it.
#pragma once

#include <string>
#include <vector>

#include "compiler/tune/key_search.h"
#include "compiler/tune/trials.h"
#include "compiler/tune/whole_net.h"

namespace resnetc {

struct TuneReport {
  std::string target;    // record_target
  std::string hardware;  // the name of the CPU or of the device
  int threads = 1, batch = 1;
  double peak_gflops = 0;  // of all threads; 0 if it is not known
  std::vector<KeySearch> keys;
  std::vector<Trial> trials;                                // of all runs on the same file
  std::vector<std::pair<std::string, NetComparison>> nets;  // by name
};

std::string tune_report_html(const TuneReport& report);

}  // namespace resnetc
