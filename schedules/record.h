// What the tuner found out, one JSON object a line: the best choice for a key on one kind of machine. A file of records
// only grows; records_in_force says which of its lines count.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedules/cpu_name.h"
#include "schedules/strategy.h"

namespace resnetc {

struct Record {
  std::string key;     // to_string of a KernelKey
  std::string target;  // of that machine: of a device, whatever the CPU beside it
  Choice choice;
  int threads = 1;
  int batch = 1;
  int largest_winograd = 5;         // what the candidates were limited to, as in Machine
  bool cold = true;                 // timed with weights from memory; else with weights in the cache
  bool provisional = false;         // it won alone; no whole net has confirmed it yet
  bool dropped = false;             // a later word: the choice did not survive in a whole net
  double milliseconds = 0;          // median of one call
  double default_milliseconds = 0;  // of the default choice, by its ratio to this one; reckoned while provisional
  double gflops = 0;
  double percent_of_peak = 0;  // of what `threads` threads reached on that machine
  std::string cpu;             // cpu_name of that machine, or
  std::string device;          // the name of the device that the target is for
  DeviceLimits limits = {};    // of the device, which the candidates were within
  std::string halide;          // version
  int strategy_version = 1;    // of choice.strategy
};

std::string to_json_line(const Record& record);  // without a newline

// Throws Error saying what is wrong with the line, without naming a file.
Record parse_record(std::string_view line);

// The kind of CPU, or the device.
std::string hardware_kind(const Record& record);

// What a record is about: a later one with the same text replaces it.
std::string identity_of(const Record& record);

enum class Provisional { counts, is_left_out };

// By identity, what counts after all of these, in order. A provisional record hides what stood before, and a dropped
// one of the same choice takes it back, so that what stood before counts again.
std::map<std::string, Record> records_in_force(const std::vector<Record>& records, Provisional provisional);

// "21.0.0"
std::string halide_version();

struct RecordFile {
  std::vector<Record> records;        // in the file's order
  std::vector<std::string> problems;  // "FILE:LINE: what is wrong", of the lines that were skipped
  std::vector<size_t> lines = {};     // where each of the records stands, from 1
};

// A file that is not there has no records. Throws Error if it cannot be read.
RecordFile read_records(const std::filesystem::path& file);

// Appends one line with a single write under a lock, so that several processes may share the file; makes the file and
// its folder. A line that another process left half-written is ended first. When this returns the line is on disk;
// throws Error otherwise (a full disk), and then the file is as it was.
void append_line(const std::filesystem::path& file, std::string line);

// The same where `so` is true of the file's records, which nobody changes in between. Returns whether it was.
bool append_line_if(const std::filesystem::path& file, std::string line,
                    const std::function<bool(const std::vector<Record>&)>& so);

}  // namespace resnetc
