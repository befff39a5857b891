// What tests/compiler/tune/net_verdict_test.cpp has no room for: the comparison after which there is no other.
#include <doctest/doctest.h>

#include "compiler/tune/net_verdict.h"

using namespace resnetc;

namespace {

NetTimes times(double rest, const std::vector<double>& rounds) {
  NetTimes result{rest + rounds[0], {{"a", rounds[0]}}, {}};
  for (const double ms : rounds) result.rounds.push_back({rest + ms, {{"a", ms}}, {}});
  return result;
}

// Whether a win stands whose net seems slower as a whole at first; whose kernel takes so long at first and then.
bool stands_with(const std::vector<double>& first, const std::vector<double>& then) {
  KeySearch search;
  search.text = "a";
  search.before = search.fallback = {"conv2d_direct", {{"pixels", 1}}};
  search.best = {"conv2d_direct", {{"pixels", 2}}};
  search.has_record = true;
  std::vector<KeySearch> keys = {search};
  const std::vector<double> before(first.size(), 1.0);
  judge_nets({{"net", {{"a", 1}}}}, keys,
             {[&](size_t, bool again) {
                return NetComparison{times(10, before), again ? times(10, then) : times(12, first)};
              },
              [](KeySearch& win) { win.best = win.before; }, [](KeySearch&, double) {}, [](const std::string&) {}});
  return keys[0].has_win();
}

}  // namespace

TEST_CASE("a win that the last comparison leaves undecided goes, as after any other") {
  const std::vector<double> faster = {0.95, 0.99, 1.08}, undecided = {0.98, 1.005, 1.05};
  CHECK(stands_with(faster, faster));
  CHECK(!stands_with(faster, undecided));
}
