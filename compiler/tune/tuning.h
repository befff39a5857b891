// What a run of `resnetc tune` knows, and the lines that it writes.
#pragma once

#include <map>
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
  std::map<std::string, int> keys = {};  // of the kernels that are tuned, and how often each is called
};

struct Tuning {
  TuneOptions options;
  Machine machine;
  std::string hardware = {};                  // the name of the CPU or of the device
  size_t cache_bytes = 0;                     // of its last level
  DeviceLimits limits = {};                   // of the device
  std::filesystem::path device_library = {};  // make_kernel_device's; empty for the CPU
  std::filesystem::path records = {}, trials = {};
  uint64_t trials_read = 0;  // bytes of that file
  std::vector<Net> nets = {};
  std::vector<KeySearch> keys = {};
  ScheduleDb before = {};  // what stood when it began, but for wins that no whole net has confirmed
  CostModel model = {};
  double peak_gflops = 0;  // of all threads; the largest that was seen so far, 0 as long as there is no reading
  Clock::time_point peak_read = {};  // when that was last tried
  double waited_s = 0;               // for other tuners, while candidates were measured
  double earlier_seconds = 0;        // spent by earlier runs on the same file
  Clock::time_point start = {};
  std::filesystem::path folder = {};
  bool trials_are_lost = false;  // the disk takes none
  bool has_room = true;          // for what is compiled; else nothing will run
  std::string why_none = {};     // how the best of a kernel that has no time yet failed last

  // The machine within the limits of the device at hand: what may be tried. What is compiled without records keeps
  // within its kind's.
  Machine tried() const { return with_limits(machine, limits); }
  bool on_device() const { return machine.device != Device::cpu; }
  double left() const { return options.budget_s - seconds_since(start); }
};

Record record_of(const Tuning& t, const KeySearch& search, const Choice& choice, double milliseconds);

// Whether what a trial says holds for this run: of the same kernel and conditions, and of the code as it is.
bool same_conditions(const Tuning& t, const KeySearch& search, const Record& trial);

// Several tuners may share a file of records. So a line is written only while what this run last saw of the key is in
// force; else the search takes over what is, and another tuner's win is never lost unjudged.

// Says in the file of records that `best` is best; provisional, where it is a win. Returns whether it says so now.
bool write_best(const Tuning& t, KeySearch& search);

// The win no longer counts: what stood before it does again, or what another tuner wrote since.
void drop_win(const Tuning& t, KeySearch& search);

// The choice that was the search's best until it turned out to be wrong no longer counts, whoever wrote it, and what is
// best now does.
void drop_wrong(const Tuning& t, KeySearch& search, const Choice& wrong);

// The default is the choice again; in a net its call took so many milliseconds.
void write_default(const Tuning& t, KeySearch& search, double milliseconds_in_net);

// The win stands without being provisional, unless another tuner's record stands.
void confirm_win(const Tuning& t, KeySearch& search);

// Where the peak was not known when this run wrote its record, or turned out to be higher, that is written again.
void restate_shares(const Tuning& t, KeySearch& search);

// Reads what is in force, and takes over what other tuners wrote of these keys.
void take_over_news(Tuning& t, const std::map<std::string, int>& keys);

// What is in force for the key under these conditions, of the records that may be used.
std::optional<Record> in_force(const Tuning& t, const KeySearch& search, const std::vector<Record>& records,
                               Provisional provisional = Provisional::counts);

}  // namespace resnetc
