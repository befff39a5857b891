// `resnetc tune`: searches for the best choice of each kernel of some nets, on this machine's CPU or on a device of it,
// within a time budget.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compiler/model.h"

namespace resnetc {

struct TuneOptions {
  std::vector<std::filesystem::path> topologies;
  ModelOptions model;
  std::string target = "host";
  int threads = 1;  // of the CPU
  int device = 0;   // which one, where the target is for a device
  int batch = 1;
  int largest_winograd = 5;       // as in Machine
  DType weights = DType::f32;     // how convolutions and dense layers store them
  double budget_s = 600;          // wall clock, all included
  std::filesystem::path records;  // the file to append to; empty: the user's own file of that hardware and target
  std::string kernels;            // a regular expression; only keys that hold a match are tuned
  bool baseline = false;          // Halide's autoschedulers too
  std::filesystem::path report;   // an HTML page, or empty
  std::filesystem::path cache;    // of compiled kernels, or empty
  int jobs = 0;                   // compilations at once
};

// Every better choice is in the file of records as soon as it is known. Throws Error; when it is interrupted, what was
// found stays.
void tune(const TuneOptions& options);

// "90s", "10m" or "2h" in seconds. Throws Error.
double parse_duration(const std::string& text);

}  // namespace resnetc
