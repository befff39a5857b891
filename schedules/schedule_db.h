// The records that a compilation may use, and which of them is nearest to a kernel.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "schedules/record.h"

namespace resnetc {

class ScheduleDb {
 public:
  // Adds the records of a file. Those of files added earlier stand over later ones. name: how messages and reports call
  // the file. Lines that cannot be used are named in problems().
  void add_file(const std::filesystem::path& file, std::string name);

  const std::vector<std::string>& problems() const { return problems_; }
  bool empty() const { return entries_.empty(); }

  struct Match {
    Choice choice;
    std::string origin;  // "FILE" when all that a record says fits, else "FILE (other threads, other epilogue)"
    Record record;
  };
  // The nearest usable record. Never one whose choice is not among the candidates of the key: a record of another
  // version of a strategy or of Halide, or of another width of vectors, is kept in the file but not used.
  // cpu: the name of the CPU that it is for, whose records are nearer than others; "" if it is not known.
  std::optional<Match> find(const KernelKey& key, const Machine& machine, int batch, const std::string& cpu) const;

 private:
  struct Entry {
    Record record;
    std::string file;
    int layer = 0;
  };
  std::vector<Entry> entries_;  // what is in force: dropped and superseded records are gone
  std::vector<std::string> problems_;
  int layers_ = 0;
};

// All records, nearest first: of the file `first` (empty: none), of the user's own
// ($XDG_DATA_HOME/resnetc/tuned/*.jsonl), and of those that came with resnetc (`shipped`, a folder). Throws Error.
ScheduleDb read_all_records(const std::filesystem::path& first, const std::filesystem::path& shipped);

// Where `tune` writes for a target: $XDG_DATA_HOME/resnetc/tuned/TARGET.jsonl, or an empty path without a home.
std::filesystem::path own_record_file(const std::string& target);

}  // namespace resnetc
