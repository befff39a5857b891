#include "compiler/tune/tuning.h"

namespace resnetc {

Record record_of(const Tuning& t, const KeySearch& search, const Choice& choice, double milliseconds) {
  Record r;
  r.key = search.text;
  r.target = record_target(t.machine);
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
  r.halide = halide_version();
  r.strategy_version = strategy_named(choice.strategy).version;
  return r;
}

bool same_conditions(const Tuning& t, const KeySearch& search, const Record& r) {
  const Strategy* strategy = find_strategy(r.choice.strategy);
  return r.key == search.text && r.cold == search.cold && r.target == record_target(t.machine) &&
         r.cpu + r.device == t.hardware && r.threads == t.options.threads && r.batch == t.options.batch &&
         r.halide == halide_version() && strategy && strategy->version == r.strategy_version;
}

void write_best(const Tuning& t, KeySearch& search) {
  Record best = record_of(t, search, search.best, search.milliseconds);
  best.provisional = search.best != search.before;
  append_line(t.records, to_json_line(best));
  search.has_record = true;
}

void drop_win(const Tuning& t, KeySearch& search) {
  Record lost = record_of(t, search, search.best, search.milliseconds);
  lost.dropped = true;
  std::string lines = to_json_line(lost);
  const bool measured = search.milliseconds > 0;
  take_back(search);
  // In the same write, so that no kill comes between.
  if (measured) lines += "\n" + to_json_line(record_of(t, search, search.best, search.milliseconds));
  append_line(t.records, lines);
}

void confirm_win(const Tuning& t, const KeySearch& search) {
  const auto in_force = records_in_force(read_records(t.records).records, Provisional::counts);
  const auto found = in_force.find(identity_of(record_of(t, search, search.best, 0)));
  if (found == in_force.end() || !found->second.provisional || found->second.choice != search.best) return;
  Record confirmed = found->second;
  confirmed.provisional = false;
  append_line(t.records, to_json_line(confirmed));
}

}  // namespace resnetc
