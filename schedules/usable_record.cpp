#include "schedules/usable_record.h"

#include <fmt/format.h>

#include <algorithm>

namespace resnetc {
namespace {

// What a file holds, for a terminal.
std::string quoted(std::string text) {
  constexpr size_t longest = 100;
  const bool cut = text.size() > longest;
  text.resize(std::min(text.size(), longest));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return fmt::format("'{}{}'", text, cut ? "..." : "");
}

const Strategy* strategy_of(const Record& record) {
  for (const auto& list : {strategies(), device_strategies()})
    for (const Strategy* strategy : list)
      if (strategy->name == record.choice.strategy) return strategy;
  return nullptr;
}

bool is_of_versions(Unusable why) {
  return why == Unusable::other_halide || why == Unusable::other_version;
}

std::string description(Unusable why, const Record& r) {
  switch (why) {
    case Unusable::other_halide:
      return fmt::format("of Halide {}, this is {}", quoted(r.halide), halide_version());
    case Unusable::other_version:
      return fmt::format("of version {} of {}, this is {}", r.strategy_version, r.choice.strategy,
                         strategy_of(r)->version);
    case Unusable::strategy:
      return fmt::format("strategy {} is not one of this resnetc", quoted(r.choice.strategy));
    case Unusable::target:
      return fmt::format("target {} is not one that this resnetc compiles for", quoted(r.target));
    case Unusable::key:
      return fmt::format("key {} is not of a kernel that this resnetc knows", quoted(r.key));
    case Unusable::choice:
      break;
  }
  return fmt::format("{} is no choice for its key and target", quoted(to_string(r.choice)));
}

}  // namespace

void UnusableRecords::add(Unusable why, size_t line, const Record& record) {
  Seen& seen = seen_[why];
  if (seen.count++ == 0) seen.line = line, seen.what = description(why, record);
}

std::vector<std::string> UnusableRecords::lines(const std::string& file, bool of_versions) const {
  std::vector<std::string> result;
  for (const auto& [why, seen] : seen_) {
    if (is_of_versions(why) != of_versions) continue;
    const std::string lines = seen.count == 1 ? "the line is" : fmt::format("{} such lines are", seen.count);
    result.push_back(fmt::format("{}:{}: {}; {}", file, seen.line, seen.what,
                                 of_versions ? lines + " kept but not used: tune again with this one"
                                             : lines + " not used: mend or remove it, or tune again"));
  }
  return result;
}

std::optional<UsableRecord> usable(const Record& record, size_t line, UnusableRecords& unusable) {
  const auto refuse = [&](Unusable why) {
    unusable.add(why, line, record);
    return std::nullopt;
  };
  if (record.halide != halide_version()) return refuse(Unusable::other_halide);
  const Strategy* strategy = strategy_of(record);
  if (!strategy) return refuse(Unusable::strategy);
  if (strategy->version != record.strategy_version) return refuse(Unusable::other_version);
  UsableRecord result;
  try {
    result.machine = with_limits(machine_for(record.target, record.threads), record.limits);
  } catch (const Error&) {
    return refuse(Unusable::target);
  }
  result.machine.largest_winograd = record.largest_winograd;
  try {
    result.key = parse_key(record.key);
    verify_key(result.key);
  } catch (const Error&) {
    return refuse(Unusable::key);
  }
  if (!is_legal(result.key, record.choice, result.machine)) return refuse(Unusable::choice);
  return result;
}

}  // namespace resnetc
