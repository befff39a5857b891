#include "compiler/tune/baselines.h"

#include <doctest/doctest.h>

#include "tests/compiler/tune/baseline_trials.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("baselines: compiled for the device's own number of multiprocessors") {
  CHECK(to_string(baseline_choice("halide_anderson2021", 4, {1024, 49152, 80})) ==
        "halide_anderson2021 batch=4 multiprocessors=80");
  CHECK(to_string(baseline_choice("halide_adams2019", 1, {})) == "halide_adams2019 batch=1");
}

TEST_CASE("baselines: measured once against each best, and not judged by the end of the budget") {
  Tuning t = tuning_of_one_kernel();
  KeySearch& search = t.keys[0];
  const auto measured = [&](const std::vector<Trial>& trials) { return is_measured(t, search, trials, baseline); };
  CHECK(!measured({}));
  CHECK(measured({baseline_of(t, 4, 6, search.best)}));
  CHECK(!is_measured(t, search, {baseline_of(t, 4, 6, search.best)}, "halide_li2018"));
  CHECK(!measured({baseline_of(t, 4, 6, search.choices.at(1))}));
  CHECK(measured({baseline_of(t, 0, 0, search.best)}));
  Trial elsewhere = baseline_of(t, 4, 6, search.best);
  elsewhere.record.cpu = "Another CPU";
  CHECK(!measured({elsewhere}));

  Trial temporary = baseline_of(t, 0, 0, search.best);
  temporary.temporary = true;
  CHECK(!measured({temporary}));

  const Choice choice{baseline, {{"batch", 1}}};
  const Measurement best{search.best, "", 0.5, 1, 0, false}, slow{choice, "", 4, 7, 0, false},
      dropped{choice, "", 4, 0, 0, false}, no_best{search.best, "it failed", 0, 0, 0, false};
  search.images = 2;
  const auto kept = baseline_trial(t, search, best, slow);
  REQUIRE(kept);
  CHECK(kept->ratio == 7);
  CHECK(kept->images == 2);
  CHECK(kept->against == to_string(search.best));
  CHECK(kept->record.milliseconds == 4);
  CHECK(baseline_trial(t, search, best, dropped)->ratio == 8);
  CHECK(!baseline_trial(t, search, no_best, slow));

  // Whether the next run tries it again.
  const auto again = [&](bool temporary_failure, OverLimit over) {
    const auto trial = baseline_trial(t, search, best, {choice, "it failed", 0, 0, 0, temporary_failure, over});
    return !trial || !measured({*trial});
  };
  CHECK(!again(false, OverLimit::none));
  CHECK(again(true, OverLimit::none));  // a full disk
  CHECK(again(true, OverLimit::of_budget));
  CHECK(!again(true, OverLimit::of_step));
}
