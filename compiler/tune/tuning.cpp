#include "compiler/tune/tuning.h"

#include <algorithm>
#include <iterator>

namespace resnetc {

Record record_of(const Tuning& t, const KeySearch& search, const Choice& choice, double milliseconds) {
  Record r;
  r.key = search.text;
  r.target = t.machine.target.to_string();
  r.choice = choice;
  r.threads = t.options.threads;
  r.batch = t.options.batch;
  r.largest_winograd = t.machine.largest_winograd;
  r.cold = search.cold;
  r.milliseconds = milliseconds;
  r.default_milliseconds = search.milliseconds / search.fallback_ratio;
  if (milliseconds > 0) {
    r.gflops = static_cast<double>(flop_count(search.key)) * t.options.batch / milliseconds * 1e-6;
    r.percent_of_peak = t.peak_gflops > 0 ? 100 * r.gflops / t.peak_gflops : 0;
  }
  (t.on_device() ? r.device : r.cpu) = t.hardware;
  r.limits = t.limits;
  r.halide = halide_version();
  r.strategy_version = strategy_named(choice.strategy).version;
  return r;
}

bool same_conditions(const Tuning& t, const KeySearch& search, const Record& r) {
  const Strategy* strategy = find_strategy(r.choice.strategy);
  return r.key == search.text && r.cold == search.cold && r.target == t.machine.target.to_string() &&
         r.cpu + r.device == t.hardware && r.threads == t.options.threads && r.batch == t.options.batch &&
         r.halide == halide_version() && strategy && strategy->version == r.strategy_version;
}

std::optional<Record> in_force(const Tuning& t, const KeySearch& search, const std::vector<Record>& records,
                               Provisional provisional) {
  const std::string identity = identity_of(record_of(t, search, search.best, 0));
  std::vector<Record> same;
  std::copy_if(records.begin(), records.end(), std::back_inserter(same), [&](const Record& r) {
    return is_of_this_version(r) && identity_of(r) == identity && is_legal(search.key, r.choice, t.tried());
  });
  const auto found = records_in_force(same, provisional);
  if (found.empty() || search.is_wrong(found.begin()->second.choice)) return std::nullopt;
  return found.begin()->second;
}

namespace {

bool says_the_same(const std::optional<Record>& a, const std::optional<Record>& b) {
  return a.has_value() == b.has_value() && (!a || (a->choice == b->choice && a->provisional == b->provisional));
}

void take_over(const Tuning& t, KeySearch& search, const std::vector<Record>& records) {
  const auto lasting = in_force(t, search, records, Provisional::is_left_out);
  search.seen = in_force(t, search, records);
  search.has_record = search.seen.has_value();
  search.wrote = false;
  const Choice before = lasting ? lasting->choice : search.before, best = search.seen ? search.seen->choice : before;
  if (best != search.best || before != search.before) take_over(search, before, best, t.machine);
}

// Returns whether it wrote; else the search has taken over what is in force.
bool write_lines(const Tuning& t, KeySearch& search, const std::vector<Record>& lines) {
  std::string text;
  for (const Record& line : lines) text += (text.empty() ? "" : "\n") + to_json_line(line);
  return append_line_if(t.records, text, [&](std::vector<Record> records) {
    if (!says_the_same(in_force(t, search, records), search.seen)) {
      take_over(t, search, records);
      return false;
    }
    records.insert(records.end(), lines.begin(), lines.end());
    search.seen = in_force(t, search, records);
    search.wrote = !lines.back().dropped;
    return true;
  });
}

}  // namespace

bool write_best(const Tuning& t, KeySearch& search) {
  Record best = record_of(t, search, search.best, search.milliseconds);
  best.provisional = search.best != search.before;
  if (write_lines(t, search, {best})) search.has_record = true;
  return search.has_record && search.best == best.choice;
}

void drop_win(const Tuning& t, KeySearch& search) {
  Record lost = record_of(t, search, search.best, search.milliseconds);
  lost.dropped = true;
  std::vector<Record> lines = {lost};
  const bool measured = search.milliseconds > 0;
  take_back(search);
  // In the same write, so that no kill comes between.
  if (measured) lines.push_back(record_of(t, search, search.best, search.milliseconds));
  // Another tuner's win that stands is its own to judge.
  if (!write_lines(t, search, lines)) search.before = search.best;
}

void drop_wrong(const Tuning& t, KeySearch& search, const Choice& wrong) {
  Record lost = record_of(t, search, wrong, 0);
  lost.dropped = true;
  append_line(t.records, to_json_line(lost));
  take_over(t, search, read_records(t.records).records);
  if (!search.has_record && search.milliseconds > 0) write_best(t, search);
}

void write_default(const Tuning& t, KeySearch& search, double milliseconds_in_net) {
  take_default(search, milliseconds_in_net);
  write_best(t, search);
}

void confirm_win(const Tuning& t, KeySearch& search) {
  if (!search.seen || !search.seen->provisional || search.seen->choice != search.best) return;
  Record confirmed = search.milliseconds > 0 ? record_of(t, search, search.best, search.milliseconds) : *search.seen;
  confirmed.provisional = false;
  write_lines(t, search, {confirmed});
}

void restate_shares(const Tuning& t, KeySearch& search) {
  if (!search.wrote || !search.seen || search.seen->gflops <= 0 || t.peak_gflops <= 0) return;
  Record record = *search.seen;
  const double share = 100 * record.gflops / t.peak_gflops;
  if (record.percent_of_peak > 0 && record.percent_of_peak < 1.01 * share) return;
  record.percent_of_peak = share;
  write_lines(t, search, {record});
}

void take_over_news(Tuning& t, const std::map<std::string, int>& keys) {
  const std::vector<Record> records = read_records(t.records).records;
  for (KeySearch& search : t.keys)
    if (keys.contains(search.text) && !says_the_same(in_force(t, search, records), search.seen))
      take_over(t, search, records);
}

}  // namespace resnetc
