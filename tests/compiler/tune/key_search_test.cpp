#include "compiler/tune/key_search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace resnetc;

namespace {

const KernelKey key = parse_key("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32");

Machine machine() {
  return machine_for("x86-64-linux-avx2-fma", 2);
}

// As if every candidate took the milliseconds that `time` says.
template <class Time>
std::vector<Measurement> measured(const std::vector<Choice>& batch, Time&& time) {
  std::vector<Measurement> result;
  for (const Choice& c : batch) result.push_back({c, "", time(c), time(c) / time(batch[0]), 0.005});
  return result;
}

double by_pixels(const Choice& c) {
  for (const auto& [name, value] : c.parameters)
    if (name == "pixels") return 1.0 + 0.1 * value;
  return 3.0;
}

}  // namespace

TEST_CASE("the search tries each candidate once and ends with the fastest") {
  CostModel model;
  KeySearch search = start_search(key, 3, machine(), std::nullopt);
  REQUIRE(search.choices.size() > 12);
  CHECK(search.best == default_choice(key, machine()));
  std::vector<Choice> seen;
  for (int i = 0; i < 200; i++) {
    const std::vector<Choice> batch = next_batch(search, model, {}, 8);
    if (batch.empty()) break;
    CHECK(batch.size() <= 9);
    CHECK(batch[0] == search.best);
    for (size_t b = 1; b < batch.size(); b++) {
      if (batch[b] == search.fallback) continue;
      CHECK(std::find(seen.begin(), seen.end(), batch[b]) == seen.end());
      seen.push_back(batch[b]);
    }
    enter(search, model, measured(batch, by_pixels));
  }
  double fastest = 1e9;
  for (const Choice& c : search.choices) fastest = std::min(fastest, by_pixels(c));
  CHECK(search.milliseconds == doctest::Approx(fastest));
  CHECK(by_pixels(search.best) == doctest::Approx(fastest));
  CHECK(search.fallback_ratio == doctest::Approx(fastest / by_pixels(search.fallback)));
}

TEST_CASE("the default is what is compiled without records, within the limits of a device's kind") {
  const Machine kind = machine_for("x86-64-linux-sse41-opencl", 1);
  for (const DeviceLimits& limits : {DeviceLimits{1024, 64 * 1024, 16}, DeviceLimits{64, 8192, 2}}) {
    const KeySearch search = start_search(key, 1, with_limits(kind, limits), std::nullopt);
    CHECK(search.fallback == default_choice(key, kind));
    CHECK(std::count(search.choices.begin(), search.choices.end(), search.fallback) == 1);
    CHECK(search.choices.size() == search.tried.size());
    CHECK(search.choices.size() == search.cycles.size());
  }
}

TEST_CASE("a gain within the noise changes nothing") {
  CostModel model;
  KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const std::vector<Choice> batch = next_batch(search, model, {}, 2);
  std::vector<Measurement> noisy = measured(batch, [&](const Choice& c) { return c == batch[0] ? 1.0 : 0.95; });
  for (Measurement& m : noisy) m.noise = 0.06;
  CHECK(enter(search, model, noisy) == Entered::no_better);
  CHECK(search.best == batch[0]);
  for (Measurement& m : noisy) m.noise = 0.01;
  CHECK(enter(search, model, noisy) == Entered::better);
  CHECK(search.best != batch[0]);
}

TEST_CASE("a win that is taken back leaves the earlier choice with its own time") {
  CostModel model;
  const std::vector<Choice> all = candidates(key, machine());
  const Choice recorded = all[5], winner = all[7];
  KeySearch search = start_search(key, 1, machine(), recorded);
  const auto time = [&](const Choice& c) { return c == winner ? 1.0 : c == recorded ? 2.0 : c == all[0] ? 3.0 : 4.0; };
  CHECK(enter(search, model, measured({recorded, all[0], winner}, time)) == Entered::better);
  CHECK(search.best == winner);
  // A busier machine: all take twice as long. Ratios hold.
  CHECK(enter(search, model, measured({winner, all[8]}, [&](const Choice& c) { return 2 * time(c); })) ==
        Entered::no_better);
  take_back(search);
  CHECK(search.best == recorded);
  CHECK(search.milliseconds == doctest::Approx(4.0));
  CHECK(search.milliseconds / search.fallback_ratio == doctest::Approx(6.0));
  take_back(search);
  CHECK(search.milliseconds == doctest::Approx(4.0));
}

TEST_CASE("failures never win, and a default that does not run gives way") {
  CostModel model;
  KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const std::vector<Choice> batch = next_batch(search, model, {}, 3);
  std::vector<Measurement> broken = measured(batch, [](const Choice&) { return 1.0; });
  broken[0].failure = "wrong result";
  broken[0].milliseconds = broken[0].ratio = 0;
  broken[2].ratio = 0.5;
  // Once it may be the machine's: the batch is measured again as if it never had been.
  CHECK(enter(search, model, broken) == Entered::nothing);
  CHECK(search.before == batch[0]);
  CHECK(next_batch(search, model, {}, 3) == batch);
  CHECK(enter(search, model, broken) == Entered::better);
  CHECK(search.best == batch[2]);
  CHECK(search.before == batch[1]);
  // Later, one that may be the machine's changes nothing.
  broken[0].milliseconds = 1;
  for (Measurement& m : broken) {
    m.failure = m.choice == search.best ? "it took too long" : "";
    m.temporary = m.choice == search.best;
  }
  std::swap(broken[0], broken[2]);
  CHECK(enter(search, model, broken) == Entered::no_better);
  CHECK(search.best == batch[2]);
  for (Measurement& m : broken) m.failure = "it took too long", m.temporary = true;
  CHECK(enter(search, model, broken) == Entered::no_better);
  CHECK(std::isfinite(model.predict(search.text, batch[3], 1)));
}

TEST_CASE("a default that fails once and then runs stays what it is") {
  CostModel model;
  KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const std::vector<Choice> batch = next_batch(search, model, {}, 3);
  std::vector<Measurement> busy = measured(batch, [](const Choice&) { return 1.0; });
  busy[0] = {batch[0], "it took too long", 0, 0, 0, true};
  CHECK(enter(search, model, busy) == Entered::nothing);
  CHECK(enter(search, model, measured(batch, [](const Choice&) { return 1.0; })) == Entered::no_better);
  CHECK(search.before == batch[0]);
  CHECK(search.best == batch[0]);
  CHECK(search.fallback_ratio == doctest::Approx(1));
}

TEST_CASE("a search that begins with a provisional win measures it against what stood before") {
  CostModel model;
  const std::vector<Choice> all = candidates(key, machine());
  KeySearch search = start_search(key, 1, machine(), all[5], all[7]);
  CHECK(search.before == all[5]);
  CHECK(search.best == all[7]);
  CHECK(!search.has_win());
  search.has_record = true;
  CHECK(search.has_win());
  const std::vector<Choice> batch = next_batch(search, model, {}, 3);
  REQUIRE(batch.size() == 4);
  CHECK(std::vector(batch.begin(), batch.begin() + 3) == std::vector{all[7], all[0], all[5]});
  const auto time = [&](const Choice& c) { return c == all[7] ? 2.0 : c == all[5] ? 3.0 : 4.0; };
  enter(search, model, measured(batch, time));
  CHECK(search.best == all[7]);
  take_back(search);
  CHECK(search.best == all[5]);
  CHECK(search.milliseconds == doctest::Approx(3.0));
  CHECK(search.milliseconds / search.fallback_ratio == doctest::Approx(4.0));
}

TEST_CASE("a provisional win that does not run leaves the way back to what stood before") {
  CostModel model;
  const std::vector<Choice> all = candidates(key, machine());
  KeySearch search = start_search(key, 1, machine(), all[5], all[7]);
  const std::vector<Choice> batch = next_batch(search, model, {}, 3);
  std::vector<Measurement> broken = measured(batch, [](const Choice&) { return 1.0; });
  broken[0] = {batch[0], "wrong result", 0, 0, 0, false};
  enter(search, model, broken);
  CHECK(enter(search, model, broken) == Entered::better);
  CHECK(search.best == batch[1]);
  CHECK(search.before == all[5]);
}

TEST_CASE("what won elsewhere is tried first where it is a candidate") {
  CostModel model;
  const KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const Choice last = search.choices.back(), foreign{"conv2d_direct", {{"pixels", 999}}};
  const std::vector<Choice> batch = next_batch(search, model, {foreign, last}, 4);
  CHECK(std::find(batch.begin(), batch.end(), last) == batch.begin() + 1);
  CHECK(std::find(batch.begin(), batch.end(), foreign) == batch.end());
}

TEST_CASE("a key that was not measured yet comes first; then the one that costs most") {
  CostModel model;
  KeySearch a = start_search(key, 10, machine(), std::nullopt), b = a;
  b.calls = 1;
  CHECK(priority(a) > priority(b));
  enter(a, model, measured(next_batch(a, model, {}, 4), by_pixels));
  CHECK(priority(b) > priority(a));
  enter(b, model, measured(next_batch(b, model, {}, 4), by_pixels));
  CHECK(priority(a) > priority(b));
}

TEST_CASE("failures that may be the machine's cost a candidate its turn in this run, and no default its place") {
  CostModel model;
  KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const std::vector<Choice> batch = next_batch(search, model, {}, 3);
  std::vector<Measurement> busy = measured(batch, [](const Choice&) { return 1.0; });
  busy[1] = {batch[1], "it took too long", 0, 0, 0, true};
  CHECK(enter(search, model, busy) == Entered::no_better);
  const std::vector<Choice> next = next_batch(search, model, {batch[1]}, 1000);
  CHECK(std::find(next.begin(), next.end(), batch[1]) == next.end());

  search = start_search(key, 1, machine(), std::nullopt);
  busy[0] = {batch[0], "the disk is full", 0, 0, 0, true};
  CHECK(enter(search, model, busy) == Entered::nothing);
  CHECK(next_batch(search, model, {}, 3) == batch);
  CHECK(enter(search, model, busy) == Entered::nothing);
  CHECK(search.best == batch[0]);
  CHECK(search.before == batch[0]);
  CHECK(next_batch(search, model, {}, 3).empty());
}

TEST_CASE("a default that fails for a reason that may be gone is compared with the same best once more") {
  for (const bool runs_then : {true, false}) {
    CostModel model;
    KeySearch search = start_search(key, 1, machine(), std::nullopt);
    const Choice fallback = search.fallback, winner = search.choices[3];
    const auto time = [&](const Choice& c) { return c == winner ? 0.5 : 1.0; };
    REQUIRE(enter(search, model, measured({fallback, winner}, time)) == Entered::better);
    const auto measure_next = [&](bool runs) {
      const std::vector<Choice> batch = next_batch(search, model, {}, 3);
      REQUIRE(batch.size() == 4);
      if (batch[1] != fallback) return false;
      std::vector<Measurement> now = measured(batch, [&](const Choice& c) { return c == winner ? 0.8 : 1.0; });
      if (!runs) now[1] = {fallback, "the disk is full", 0, 0, 0, true};
      CHECK(enter(search, model, now) == Entered::no_better);
      return true;
    };
    CHECK(measure_next(false));
    CHECK(!search.compared);
    CHECK(search.fallback_ratio == doctest::Approx(0.5));  // still reckoned
    CHECK(measure_next(runs_then));
    CHECK(search.compared == runs_then);
    CHECK(search.fallback_ratio == doctest::Approx(runs_then ? 0.8 : 0.5));
    CHECK(!measure_next(true));
    // The next best is compared again.
    search.best = search.choices[5];
    enter(search, model, measured({search.choices[5], winner, search.choices[7]}, [&](const Choice& c) {
            return c == winner ? 0.1 : 1.0;
          }));
    CHECK(measure_next(true));
    CHECK(search.compared);
  }
}

TEST_CASE("a default that computes something else is none") {
  CostModel model;
  for (const bool temporary : {false, true}) {
    KeySearch search = start_search(key, 1, machine(), candidates(key, machine())[5]);
    const std::vector<Choice> batch = next_batch(search, model, {}, 3);
    REQUIRE(batch[1] == search.fallback);
    std::vector<Measurement> broken = measured(batch, [](const Choice&) { return 1.0; });
    broken[1] = {batch[1], "wrong result", 0, 0, 0, temporary};
    CHECK(enter(search, model, broken) == Entered::no_better);
    CHECK((search.fallback == search.best) == !temporary);
  }
}

TEST_CASE("the default is measured with each new best: what a winner seemed to gain is not multiplied") {
  CostModel model;
  KeySearch search = start_search(key, 1, machine(), std::nullopt);
  const std::vector<Choice> all = search.choices;
  // Each winner is 10 % faster than the one before, and seemed 20 % faster by luck.
  for (const size_t winner : {1, 2, 3})
    CHECK(enter(search, model, measured({search.best, all[winner]}, [&](const Choice& c) {
                  return c == all[winner] ? 0.8 : 1.0;
                })) == Entered::better);
  CHECK(!search.compared);
  CHECK(search.fallback_ratio == doctest::Approx(0.8 * 0.8 * 0.8));
  const std::vector<Choice> batch = next_batch(search, model, {}, 8);
  REQUIRE(batch.size() == 9);
  CHECK(batch[0] == all[3]);
  CHECK(batch[1] == all[0]);
  enter(search, model, measured(batch, [&](const Choice& c) { return c == all[3] ? 0.73 : 1.0; }));
  CHECK(search.compared);
  CHECK(search.fallback_ratio == doctest::Approx(0.73));
  CHECK(next_batch(search, model, {}, 8)[1] != all[0]);

  // Also where nothing is left to try.
  search.compared = false;
  search.tried.assign(search.tried.size(), true);
  CHECK(next_batch(search, model, {}, 8) == std::vector{all[3], all[0]});
  enter(search, model, measured({all[3], all[0]}, [&](const Choice& c) { return c == all[3] ? 0.75 : 1.0; }));
  CHECK(search.fallback_ratio == doctest::Approx(0.75));
  CHECK(next_batch(search, model, {}, 8).empty());
}

TEST_CASE("a best that ran and then fails for a lasting reason gives way to what stood before, and never comes back") {
  CostModel model;
  const std::vector<Choice> all = candidates(key, machine());
  const auto fail_best = [&](KeySearch& search) {
    const Choice best = search.best;
    const std::vector<Choice> batch = {best, all[9]};
    std::vector<Measurement> broken = measured(batch, [](const Choice&) { return 2.0; });
    broken[0] = {best, "wrong result", 0, 0, 0, true};
    CHECK(enter(search, model, broken) == Entered::no_better);
    CHECK(search.best == best);
    broken[0].temporary = false;
    CHECK(enter(search, model, broken) == Entered::wrong);
    CHECK(search.is_wrong(best));
    for (const Choice& c : {search.best, search.before, search.fallback}) CHECK(c != best);
    const std::vector<Choice> next = next_batch(search, model, {best}, 1000);
    CHECK(std::find(next.begin(), next.end(), best) == next.end());
  };
  KeySearch search = start_search(key, 1, machine(), all[5]);
  const auto time = [&](const Choice& c) { return c == all[7] ? 1.0 : c == all[5] ? 1.5 : 3.0; };
  enter(search, model, measured({all[5], all[0], all[7]}, time));
  REQUIRE(search.best == all[7]);
  fail_best(search);
  CHECK(search.best == all[5]);
  CHECK(search.milliseconds == doctest::Approx(1.5));
  fail_best(search);
  CHECK(search.best == all[0]);
  CHECK(search.before == all[0]);
  CHECK(search.milliseconds == doctest::Approx(3));
  fail_best(search);
  CHECK(search.best == all[9]);
  CHECK(search.milliseconds == doctest::Approx(2));
  CHECK(search.fallback_ratio == 1);
}
