// Compiles candidates of one kernel and has them timed, each step in child processes with limits, so that a candidate
// that hangs, crashes or eats all memory costs its limit and nothing more.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "compiler/process.h"
#include "compiler/tune/time_kernels.h"

namespace resnetc {

struct MeasureOptions {
  std::filesystem::path folder;  // for objects, removed by the caller
  std::filesystem::path cache;   // of compiled kernels, or empty
  std::string target;
  int threads = 1;
  int batch = 1;
  bool cold = true;
  int jobs = 1;
  std::filesystem::path device_library;  // make_kernel_device's; empty for the CPU
  int device = 0;
  double compile_limit_s = 30;
  double time_limit_s = 60;
  double left_s = std::numeric_limits<double>::infinity();  // of the budget: no step takes longer
  double waited_s = 0;                                      // of it, what was waited for other tuners
};

// The limit of time that something did not keep: that of its step, or what was left of the budget, which says nothing
// of it.
enum class OverLimit { none, of_step, of_budget };

struct TimeLimit {
  double seconds;
  OverLimit kind;
};
inline TimeLimit shortened(double step_s, double left_s) {
  return left_s < step_s ? TimeLimit{left_s, OverLimit::of_budget} : TimeLimit{step_s, OverLimit::of_step};
}

// Whether a command failed as it may on a busy machine or one whose disk or memory is full: by a limit of time, killed
// from outside, or for lack of room. What crashes, cannot be compiled or computes something else will do so again.
// described: by describe_failure, which looks at the disk.
bool is_temporary(const CommandResult& failed, const std::string& described);

// Of these the disk's: nothing else will run until there is room.
bool is_lack_of_room(const std::string& described);

// A kernel compiled to a shared object that a KernelRunner or a DeviceRunner calls.
struct KernelObject {
  std::string failure;     // of compiling or linking; empty if there is a library
  bool temporary = false;  // as is_temporary says
  OverLimit over = OverLimit::none;
  std::filesystem::path library;
  uint64_t scratch_bytes = 0;
};

// One for each, in order, `jobs` at once; what is timed meanwhile waits. What this takes is taken off options.left_s;
// where that is used up by waiting, all have failed.
std::vector<KernelObject> compile_objects(const std::vector<std::pair<KernelKey, Choice>>& kernels,
                                          MeasureOptions& options);

struct Measurement {
  Choice choice;
  std::string failure;          // of compiling, running or checking; empty if it was timed
  double milliseconds = 0;      // median
  double ratio = 0, noise = 0;  // as in TimingAnswer; 0 if it was eliminated before the last stage
  bool temporary = false;       // the failure may be the machine's
  OverLimit over = OverLimit::none;
};

// One for each choice, in order; the first that runs is the one to beat. Compilations run first, `jobs` at once;
// nothing else runs while the timing does. Where several tuners share a machine, one's timing waits for another's
// compilations, as long as the budget lasts; options.waited_s says how long.
std::vector<Measurement> measure(const KernelKey& key, const std::vector<Choice>& choices, MeasureOptions& options);

}  // namespace resnetc
