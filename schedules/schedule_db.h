// The records that a compilation may use, and which of them is nearest to a kernel.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "schedules/usable_record.h"

namespace resnetc {

// Where a file of records comes from, the nearest to the user's wishes first.
enum class RecordSource { given, own, shipped };

// Of this version of Halide and of its strategy: no other is ever used.
bool is_of_this_version(const Record& record);

class ScheduleDb {
 public:
  // Adds the records of a file. What cannot be used is named in problems(), each line that cannot be read, the first
  // of each other kind; so is a file that cannot be read, unless it was given: then throws Error. Records of other
  // versions are no problem: notes() has a line for each kind of these.
  void add_file(const std::filesystem::path& file, RecordSource source, Provisional provisional = Provisional::counts);

  const std::vector<std::string>& problems() const { return problems_; }
  const std::vector<std::string>& notes() const { return notes_; }
  bool empty() const { return entries_.empty(); }

  struct Match {
    Choice choice;
    // The name of the file, with "own" or "shipped" before it; what differs from what was asked for behind it, as in
    // "shipped amd-zen3-avx2.jsonl (other CPU, 4 threads)".
    std::string origin;
    Record record;
  };
  // The nearest usable record: of this very key, else of one with another epilogue or border; of a given file; for the
  // target; from a CPU of the same kind or the same device; the user's own; from a CPU of the same vendor, for a target
  // that differs in the fewest instruction sets, from a CPU that has no stronger ones than the record's target; then by
  // --winograd, batch and threads, which are the same to a device; the first in the order of file names. Never one that
  // is_legal refuses: a record of another width of vectors or of larger Winograd tiles than allowed is kept in the file
  // but not used, as is one of another version of a strategy or of Halide. hardware: the name of the CPU or of the
  // device that it is for; "" if it is not known. cold: whether weights come from memory; the least that counts.
  std::optional<Match> find(const KernelKey& key, const Machine& machine, int batch, const std::string& hardware,
                            bool cold = true) const;

 private:
  struct Entry {
    Record record;
    RecordSource source;
    std::string file;
    KernelKey plain;  // its key, with all weights as f32
    KernelKey body;   // of that
    bool reads_f32;   // whether the key has all weights so
    Machine machine;  // of its target
  };
  std::vector<Entry> entries_;  // what is in force: dropped and superseded records are gone
  std::vector<std::string> problems_, notes_;
};

// All records: of the file `given` (empty: none), of the user's own ($XDG_DATA_HOME/resnetc/tuned/*.jsonl), and of
// those that came with resnetc (`shipped`, a folder). without_provisional: the file, given or the user's own, of which
// provisional records are left out. Throws Error where `given` cannot be read.
ScheduleDb read_all_records(const std::filesystem::path& given, const std::filesystem::path& shipped,
                            const std::filesystem::path& without_provisional = {});

// How a file of records for hardware of that name and that target is called: as "amd-zen4-avx512_skylake.jsonl", or
// "nvidia-h100-80gb-hbm3-cuda.jsonl".
std::string record_file_name(const Machine& machine, const std::string& hardware);

// Where `tune` writes: record_file_name in $XDG_DATA_HOME/resnetc/tuned, or an empty path without a home.
std::filesystem::path own_record_file(const Machine& machine, const std::string& hardware);

}  // namespace resnetc
