// Everything that was tried, one JSON object a line in FILE.trials.jsonl beside the records, so that a tuner that
// starts again does not try it twice and a report can show it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "schedules/record.h"

namespace resnetc {

struct Trial {
  Record record;             // milliseconds 0 if it failed
  std::string failure = {};  // why there is no time, or ""
  double second = 0;         // wall-clock seconds that tuning had taken until then, over all runs
  double ratio = 0;          // of a baseline: its time to that of `against`, measured in turns; 0 if it is not known
  std::string against = {};  // to_string of the choice that was best then
  bool temporary = false;    // it may be the machine's: another run tries again
  int images = 0;            // of the batch that were timed together; 0: not known, as in lines of earlier versions
};

// "x.jsonl" -> "x.trials.jsonl"; "x.json" -> "x.json.trials.jsonl", which has its own.
std::filesystem::path trials_file(const std::filesystem::path& records);

void append_trial(const std::filesystem::path& file, const Trial& trial);  // throws Error
// Lines that are no trials are skipped: they only cost a second try.
std::vector<Trial> read_trials(const std::filesystem::path& file);
// The same from a byte on, which is then behind the last whole line: what has come since.
std::vector<Trial> read_trials(const std::filesystem::path& file, uint64_t& from);

}  // namespace resnetc
