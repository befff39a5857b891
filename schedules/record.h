// What the tuner found out, one JSON object a line: the best choice for a key on one kind of machine. A file of records
// only grows; of the lines of one identity_of, the last one counts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schedules/cpu_name.h"
#include "schedules/strategy.h"

namespace resnetc {

struct Record {
  std::string key;     // to_string of a KernelKey
  std::string target;  // record_target of that machine
  Choice choice;
  int threads = 1;
  int batch = 1;
  int largest_winograd = 4;         // what the candidates were limited to, as in Machine
  bool cold = true;                 // timed with weights from memory; else with weights in the cache
  bool dropped = false;             // a later word: the choice did not survive in a whole net
  double milliseconds = 0;          // median of one call
  double default_milliseconds = 0;  // of the default choice, measured between the same calls
  double gflops = 0;
  double percent_of_peak = 0;  // of what `threads` threads reached on that machine
  std::string cpu;             // cpu_name of that machine, or
  std::string device;          // the name of the device that the target is for
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

// "21.0.0"
std::string halide_version();

struct RecordFile {
  std::vector<Record> records;        // in the file's order
  std::vector<std::string> problems;  // "FILE:LINE: what is wrong", of the lines that were skipped
};

// A file that is not there has no records. Throws Error if it cannot be read.
RecordFile read_records(const std::filesystem::path& file);

// Appends one line with a single write under a lock, so that several processes may share the file; makes the file and
// its folder. A line that another process left half-written is ended first. When this returns the line is on disk;
// throws Error otherwise (a full disk), and then the file is as it was.
void append_line(const std::filesystem::path& file, std::string line);

}  // namespace resnetc
