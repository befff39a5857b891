// Times candidates of one kernel against each other, in a process of its own: what the hidden command of that name
// runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "schedules/strategy.h"

namespace resnetc {

// Hidden commands of resnetc: `resnetc time-kernels REQUEST.json`, answers on standard output. On a device the process
// has no limit of memory.
inline constexpr const char *time_kernels_command = "time-kernels", *time_on_device_command = "time-on-device";

// Its exit status when a kernel has broken the device, as far as this process goes, or failed after it was checked, in
// a timed call or, where it is the one that ratios are to, in its second check: its failure is among the answers, and
// the others are to be timed again without it.
inline constexpr int lost_device_status = 3;

struct TimedObject {
  Choice choice;
  std::string library;  // a shared object with the kernel and, for the CPU, the runtime's hooks
  uint64_t scratch_bytes = 0;
};

struct TimingRequest {
  std::string key;
  std::string target;
  int threads = 1;
  int batch = 1;
  bool cold = true;
  std::string device_library;        // make_kernel_device's; "" for the CPU
  int device = 0;                    // its number
  std::vector<TimedObject> objects;  // the first that runs is the one to beat: it is never eliminated
  double limit_s = 60;               // when the process is ended; it ends by itself well before
};

struct TimingAnswer {
  std::string failure;      // why its time does not count: a wrong result, a status; empty if it does
  double milliseconds = 0;  // median over all rounds that it took part in; 0 without any
  // Only of those that reached the last stage: the median of (its time / the first one's time in the same round), and
  // twice the standard error of that median, from the median absolute deviation.
  double ratio = 0, noise = 0;
};

std::string to_json(const TimingRequest& request);
TimingRequest parse_timing_request(const std::string& text);

// One answer for each object; without time or failure where a crash cut it off, or there was no time for it.
std::vector<TimingAnswer> parse_timing_answers(const std::string& output, size_t objects);

// Where the command says which object runs; which one that was when it ended, `objects` if none.
std::filesystem::path running_object_file(const std::filesystem::path& request);
size_t running_object(const std::filesystem::path& request, size_t objects);

// The command itself: checks each object against the reference evaluator, then times them in turns, dropping the slower
// half after each stage (successive halving), on a device also at once what takes three times as long, and checks the
// last ones again. Prints its answers as it goes. Returns the exit status.
int time_kernels(const std::filesystem::path& request);

}  // namespace resnetc
