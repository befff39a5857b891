// Times whole nets with one set of kernels against others: a kernel that wins alone may lose among its neighbours.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
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

// Whether such a ratio says which is faster, or that the difference is too small to matter.
bool is_decided(const Ratio& r);

struct NetComparison {
  NetTimes before, after;
  // Kernels whose choice was dropped after it was timed: times after have those before in their place.
  int replaced = 0;
  // Kernels whose choice another tuner has changed since: times after are still of the one before that.
  int outdated = 0;
  // With the default choices of all kernels that are tuned; nullopt where there was no time for them.
  std::optional<NetTimes> defaults = {};

  bool is_of_what_stands() const { return replaced == 0 && outdated == 0; }
};

// What of it was not timed as it stands, to be added to its times; empty if all was.
std::string reservation(const NetComparison& comparison);

struct WholeNetOptions {
  std::filesystem::path folder, cache;
  std::string target;
  int threads = 1, batch = 1, jobs = 1, device = 0;
  double seconds = 10;  // of all, about; the longer it is, the more rounds
  double left = 10;     // of the budget
  // Of the times so far of each program: whether they suffice. Else there are more rounds than usual.
  std::function<bool(const std::vector<NetTimes>&)> decided;
  std::function<void(int)> begins_round;  // from 1 on
};

// Emits the programs, then runs them in turns, at least twice, those of a device after their self-test; one program for
// all that are the same. The times of each. Throws Error; TimedOut where a program hung, before half of what is left of
// the budget is gone, but for its last seconds; MachineIsBusy where other tuners had the machine until nothing of it
// was left, before all had run twice.
std::vector<NetTimes> compare_nets(const Model& model, const std::vector<Program>& programs, const Machine& machine,
                                   const WholeNetOptions& options);

}  // namespace resnetc
