#include "compiler/tune/baselines.h"

#include <algorithm>

namespace resnetc {

bool is_measured(const Tuning& t, const KeySearch& search, const std::vector<Trial>& trials,
                 std::string_view baseline) {
  const std::string best = to_string(search.best);
  return std::any_of(trials.begin(), trials.end(), [&](const Trial& trial) {
    return trial.record.choice.strategy == baseline && same_conditions(t, search, trial.record) && !trial.temporary &&
           (!trial.failure.empty() || trial.against == best);
  });
}

Choice baseline_choice(std::string_view baseline, int images, const DeviceLimits& limits) {
  Choice choice{std::string(baseline), {{"batch", images}}};
  if (limits.gpu_multiprocessors > 0) choice.parameters.emplace_back("multiprocessors", limits.gpu_multiprocessors);
  return choice;
}

std::optional<Trial> baseline_trial(const Tuning& t, const KeySearch& search, const Measurement& best,
                                    const Measurement& baseline) {
  if (!best.failure.empty() || baseline.over == OverLimit::of_budget) return std::nullopt;
  Trial trial{record_of(t, search, baseline.choice, baseline.failure.empty() ? baseline.milliseconds : 0),
              baseline.failure, t.earlier_seconds + seconds_since(t.start)};
  trial.temporary = baseline.temporary && baseline.over == OverLimit::none;
  trial.images = search.images;
  if (!baseline.failure.empty()) return trial;
  // A device drops at once what takes much longer: then there is no ratio by turns.
  trial.ratio = baseline.ratio > 0 ? baseline.ratio : baseline.milliseconds / best.milliseconds;
  trial.against = to_string(search.best);
  return trial;
}

}  // namespace resnetc
