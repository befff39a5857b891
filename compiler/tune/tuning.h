// What a run of `resnetc tune` knows, and the lines that it writes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "compiler/clock.h"
#include "compiler/tune/key_search.h"
#include "compiler/tune/tune.h"
#include "schedules/schedule_db.h"

namespace resnetc {

struct Net {
  Model model;
  Graph graph;  // after all passes
  size_t weight_bytes = 0;
  bool cold = false;  // they outgrow the last-level cache
  size_t kernels = 0;
  std::set<std::string> keys = {};  // of the kernels that are tuned
};

struct Tuning {
  TuneOptions options;
  Machine machine;
  std::string hardware = {};                  // the name of the CPU or of the device
  size_t cache_bytes = 0;                     // of its last level
  std::filesystem::path device_library = {};  // make_kernel_device's; empty for the CPU
  std::filesystem::path records = {}, trials = {};
  std::vector<Net> nets = {};
  std::vector<KeySearch> keys = {};
  ScheduleDb before = {};  // what stood when it began, but for wins that no whole net has confirmed
  CostModel model = {};
  double peak_gflops = 0;      // of all threads
  double earlier_seconds = 0;  // spent by earlier runs on the same file
  Clock::time_point start = {};
  std::filesystem::path folder = {};

  bool on_device() const { return machine.device != Device::cpu; }
  double left() const { return options.budget_s - seconds_since(start); }
};

Record record_of(const Tuning& t, const KeySearch& search, const Choice& choice, double milliseconds);

// Whether what a trial says holds for this run: of the same kernel and conditions, and of the code as it is.
bool same_conditions(const Tuning& t, const KeySearch& search, const Record& trial);

// Says in the file of records that `best` is best; provisional, where it is a win.
void write_best(const Tuning& t, KeySearch& search);

// The win no longer counts: what stood before it does again.
void drop_win(const Tuning& t, KeySearch& search);

// The win stands without being provisional.
void confirm_win(const Tuning& t, const KeySearch& search);

}  // namespace resnetc
