// Times whole nets with one set of kernels against another: a kernel that wins alone may lose among its neighbours.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "compiler/model.h"
#include "compiler/program.h"
#include "compiler/tune/median.h"

namespace resnetc {

struct NetTimes {
  double milliseconds = 0;               // median of one inference
  std::map<std::string, double> kernel;  // key -> milliseconds of all its calls in one inference; empty for a device
  std::vector<NetTimes> rounds = {};     // of which these are the least
};

// Of a's times to b's in the same rounds: of a kernel, or of the whole net where none is named. {1, 0} of a kernel
// without times.
Ratio ratio_of(const NetTimes& a, const NetTimes& b, const std::string& kernel = "");

struct NetComparison {
  NetTimes before, after;
  // Kernels whose choice was dropped after it was timed: times after have those before in their place.
  int replaced = 0;
};

struct WholeNetOptions {
  std::filesystem::path folder, cache;
  std::string target;
  int threads = 1, batch = 1, jobs = 1, device = 0;
  double seconds = 10;  // of all, about; the longer it is, the more rounds
};

// Emits both programs, then runs them in turns, at least twice; only one program where both are the same. Throws Error.
NetComparison compare_nets(const Model& model, const Program& before, const Program& after, const Machine& machine,
                           const WholeNetOptions& options);

}  // namespace resnetc
