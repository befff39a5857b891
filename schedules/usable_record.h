// Whether this resnetc can use a record: it may be of another version, or what no version has written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schedules/record.h"

namespace resnetc {

struct UsableRecord {
  KernelKey key;
  Machine machine;  // of its target
};

// Why a record is not used. Those of other versions are kept for these; the others are of no use to any.
enum class Unusable { other_halide, other_version, strategy, target, key, choice };

// Counts records that are not used, by reason, and can tell of each reason once.
class UnusableRecords {
 public:
  // line: of the record's file, from 1.
  void add(Unusable why, size_t line, const Record& record);
  // "FILE:LINE: what is wrong with the first, how many there are, what to do", a line for each reason: of_versions,
  // those that are kept for other versions, or all others.
  std::vector<std::string> lines(const std::string& file, bool of_versions) const;

 private:
  struct Seen {
    size_t count = 0, line = 0;
    std::string what;
  };
  std::map<Unusable, Seen> seen_;
};

// Nothing, and an entry in `unusable`, if it cannot be used.
std::optional<UsableRecord> usable(const Record& record, size_t line, UnusableRecords& unusable);

}  // namespace resnetc
