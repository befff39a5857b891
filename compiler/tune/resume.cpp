#include "compiler/tune/resume.h"

#include <algorithm>

namespace resnetc {
namespace {

bool was_recorded(const Tuning& t, const RecordFile& known, const KeySearch& search, const Choice& choice) {
  const std::string identity = identity_of(record_of(t, search, choice, 0));
  return std::any_of(known.records.begin(), known.records.end(),
                     [&](const Record& r) { return r.choice == choice && identity_of(r) == identity; });
}

// Each kernel that was measured got a record, the default its own: where there is none, the file of records was removed
// and its trials were not, or the kernel never ran.
bool has_any_record(const Tuning& t, const RecordFile& known, const KeySearch& search) {
  const std::string identity = identity_of(record_of(t, search, search.best, 0));
  return std::any_of(known.records.begin(), known.records.end(),
                     [&](const Record& r) { return identity_of(r) == identity; });
}

// The least time and the number of the trials of each of a search's choices, 0 where there are none.
struct Tried {
  explicit Tried(const KeySearch& search) : milliseconds(search.choices.size(), 0), count(search.choices.size(), 0) {}
  std::vector<double> milliseconds;
  std::vector<int> count;

  void add(size_t choice, double ms) {
    milliseconds[choice] = count[choice] == 0 ? ms : std::min(milliseconds[choice], ms);
    count[choice]++;
  }
};

// Calls do_at(key, choice) where a trial counts in the searches: made under their conditions, of one of their choices,
// and not to be tried again.
template <class DoAt>
void for_each_place(const Tuning& t, const Trial& trial, const DoAt& do_at) {
  for (size_t k = 0; k < t.keys.size(); k++) {
    const KeySearch& search = t.keys[k];
    if (!same_conditions(t, search, trial.record) || trial.temporary) continue;
    const auto at = std::find(search.choices.begin(), search.choices.end(), trial.record.choice);
    if (at != search.choices.end()) do_at(k, static_cast<size_t>(at - search.choices.begin()));
  }
}

bool has_time(const Trial& trial) {
  return trial.failure.empty() && trial.record.milliseconds > 0;
}

void inform_model(Tuning& t, const KeySearch& search, size_t choice, const Trial& trial) {
  t.model.add(search.text, search.choices[choice], search.cycles[choice], trial.record.milliseconds);
}

// Once: a choice that was tried twice had its turn against the best.
void try_lost_win_again(const Tuning& t, const RecordFile& known, KeySearch& search, const Tried& tried) {
  size_t fastest = search.choices.size();
  for (size_t i = 0; i < search.choices.size(); i++)
    if (tried.count[i] > 0 && (fastest == search.choices.size() || tried.milliseconds[i] < tried.milliseconds[fastest]))
      fastest = i;
  if (fastest == search.choices.size() || tried.count[fastest] > 1) return;
  const Choice& choice = search.choices[fastest];
  if (choice == search.best || was_recorded(t, known, search, choice)) return;
  const auto best = std::find(search.choices.begin(), search.choices.end(), search.best) - search.choices.begin();
  const auto b = static_cast<size_t>(best);
  if (tried.count[b] == 0 || tried.milliseconds[fastest] < 0.99 * tried.milliseconds[b]) search.tried[fastest] = false;
}

}  // namespace

void resume(Tuning& t, const RecordFile& known, const std::vector<Trial>& trials) {
  std::vector<Tried> tried;
  std::vector<bool> counts;  // what was tried does, else it only informs the model
  for (KeySearch& search : t.keys) {
    counts.push_back(has_any_record(t, known, search));
    search.seen = in_force(t, search, known.records);
    search.has_record = search.seen && search.seen->choice == search.best;
    tried.emplace_back(search);
  }
  for (const Trial& trial : trials) {
    t.earlier_seconds = std::max(t.earlier_seconds, trial.second);
    for_each_place(t, trial, [&](size_t k, size_t i) {
      KeySearch& search = t.keys[k];
      search.tried[i] = counts[k];
      if (!has_time(trial)) return;
      inform_model(t, search, i, trial);
      tried[k].add(i, trial.record.milliseconds);
    });
  }
  for (size_t k = 0; k < t.keys.size(); k++) try_lost_win_again(t, known, t.keys[k], tried[k]);
}

void learn_from_others(Tuning& t) {
  for (const Trial& trial : read_trials(t.trials, t.trials_read))
    for_each_place(t, trial, [&](size_t k, size_t i) {
      KeySearch& search = t.keys[k];
      if (search.tried[i]) return;
      search.tried[i] = search.elsewhere = true;
      if (has_time(trial)) inform_model(t, search, i, trial);
    });
}

}  // namespace resnetc
