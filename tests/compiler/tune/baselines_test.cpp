#include "compiler/tune/baselines.h"

#include <doctest/doctest.h>

using namespace resnetc;

namespace {

const char* const baseline = "halide_mullapudi2016";

Tuning tuning() {
  Tuning t{{}, machine_for("x86-64-linux-avx2-fma", 2)};
  t.options.threads = 2;
  t.hardware = "A CPU";
  t.keys.push_back(start_search(parse_key("conv2d_i14x14x32_w48x1x1x32_w48_to_i14x14x48_relu_f32"), 3, t.machine, {}));
  return t;
}

Trial baseline_of(const Tuning& t, double milliseconds, double ratio, const Choice& against) {
  return {record_of(t, t.keys[0], {baseline, {{"batch", 1}}}, milliseconds), milliseconds > 0 ? "" : "it failed", 1,
          ratio, to_string(against)};
}

}  // namespace

TEST_CASE("baselines: measured once against each best, and not judged by the end of the budget") {
  Tuning t = tuning();
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

  const Choice choice{baseline, {{"batch", 1}}};
  const Measurement best{search.best, "", 0.5, 1, 0, false}, slow{choice, "", 4, 7, 0, false},
      dropped{choice, "", 4, 0, 0, false}, broken{choice, "it failed", 0, 0, 0, false},
      late{choice, "it took too long", 0, 0, 0, true}, no_best{search.best, "it failed", 0, 0, 0, false};
  for (const bool shortened : {false, true}) {
    const auto kept = baseline_trial(t, search, best, slow, shortened);
    REQUIRE(kept);
    CHECK(kept->ratio == 7);
    CHECK(kept->against == to_string(search.best));
    CHECK(kept->record.milliseconds == 4);
    CHECK(baseline_trial(t, search, best, dropped, shortened)->ratio == 8);
    CHECK(baseline_trial(t, search, best, broken, shortened)->failure == "it failed");
    CHECK(!baseline_trial(t, search, no_best, slow, shortened));
    CHECK(baseline_trial(t, search, best, late, shortened).has_value() == !shortened);
  }
}
