#include "compiler/tune/turns.h"

#include <doctest/doctest.h>

#include <map>

#include "ir/graph.h"

using namespace resnetc;

namespace {

// Contenders that take those seconds a call, on a clock of their own.
struct Race {
  double clock = 0;
  std::vector<int> calls;
  std::vector<size_t> order;  // of the calls
  std::map<size_t, Turns> result;
  std::function<double(size_t object, int call)> seconds;

  void run(size_t count, TurnsOptions options = {}) {
    calls.assign(count, 0);
    std::vector<Contender> contenders;
    for (size_t i = 0; i < count; i++)
      contenders.push_back({i, [this, i] {
                              const double each = seconds(i, calls[i]++);
                              order.push_back(i);
                              clock += each;
                              return each;
                            }});
    options.now = [this] { return clock; };
    time_in_turns(std::move(contenders), options,
                  [this](const Turns& t) { CHECK(result.try_emplace(t.index, t).second); });
  }
};

}  // namespace

TEST_CASE("the slower half is dropped after each stage, the first never") {
  Race race;
  race.seconds = [](size_t object, int) { return object == 0 ? 10e-3 : 1e-3 * static_cast<double>(9 - object); };
  race.run(9);
  // One round to warm up, then 3, 5, 7, and at least 15 for the last three.
  CHECK(race.calls[1] == 4);
  CHECK(race.calls[4] == 4);
  CHECK(race.calls[5] == 9);
  CHECK(race.calls[6] == 9);
  for (const size_t last : {size_t{0}, size_t{7}, size_t{8}}) {
    CHECK(race.calls[last] >= 1 + 3 + 5 + 15);
    CHECK(race.result.at(last).ratio == doctest::Approx(race.result.at(last).seconds / 10e-3));
    CHECK(race.result.at(last).noise == doctest::Approx(0));
  }
  CHECK(race.result.size() == 9);
  CHECK(race.result.at(3).ratio == 0);
  CHECK(race.result.at(3).seconds == doctest::Approx(6e-3));
}

TEST_CASE("the first round warms up and does not count") {
  Race race;
  race.seconds = [](size_t, int call) { return call == 0 ? 1.0 : 1e-3; };
  race.run(2);
  CHECK(race.result.at(0).seconds == doctest::Approx(1e-3));
  CHECK(race.result.at(1).ratio == doctest::Approx(1));
}

TEST_CASE("each round begins with another") {
  Race race;
  race.seconds = [](size_t, int) { return 1e-3; };
  race.run(2);
  CHECK(std::vector(race.order.begin(), race.order.begin() + 6) == std::vector<size_t>{0, 1, 0, 1, 1, 0});
}

TEST_CASE("short kernels have up to 101 rounds") {
  Race race;
  race.seconds = [](size_t, int) { return 1e-6; };
  race.run(1);
  CHECK(race.calls[0] == 1 + 101);
}

TEST_CASE("what is hopeless is dropped after its first time") {
  Race race;
  race.seconds = [](size_t object, int) { return object == 3 ? 3.1e-3 : 1e-3; };
  race.run(4, {.hopeless = 3, .now = {}});
  CHECK(race.calls[3] == 1);
  CHECK(race.result.at(3).seconds == doctest::Approx(3.1e-3));
}

TEST_CASE("calls that take seconds end in time, with the fastest two and the first") {
  for (const double each : {0.6, 2.0}) {
    Race race;
    race.seconds = [&](size_t object, int) { return each * (object == 7 || object == 5 ? 0.9 : 1); };
    race.run(9, {.now = {}, .deadline = 12});
    CHECK(race.clock < 12 + (9 + 9) * each);
    CHECK(race.result.size() == 9);
    for (const size_t last : {size_t{0}, size_t{5}, size_t{7}}) CHECK(race.result.at(last).ratio > 0);
    for (const auto& [index, turns] : race.result) CHECK(turns.seconds > 0);
  }
}

TEST_CASE("who fails is named") {
  Race race;
  race.seconds = [](size_t object, int call) {
    if (object == 2 && call == 3) throw Error("lost");
    return 1e-3;
  };
  try {
    race.run(5);
    FAIL("nothing was thrown");
  } catch (const KernelFailed& e) {
    CHECK(e.object == 2);
    CHECK(e.failure == "lost");
  }
}
