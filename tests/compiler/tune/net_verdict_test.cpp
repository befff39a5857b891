#include "compiler/tune/net_verdict.h"

#include <doctest/doctest.h>

#include <map>

using namespace resnetc;

namespace {

using Times = std::map<std::string, double>;

// Searches with a win each, whose kernels take in nets what `before` and `after` say; `rest` is what a net takes beside
// them, before and after.
struct Nets {
  std::vector<NetOfKeys> nets;
  std::vector<KeySearch> keys;
  std::vector<std::pair<double, double>> rest;
  std::vector<Times> before, after;
  int comparisons_left = 100;
  double disturbed_by = 0;  // what the first comparison takes longer after tuning
  bool device = false;
  std::vector<std::string> said;
  std::vector<size_t> compared;

  void add_win(const std::string& text) {
    KeySearch search;
    search.text = text;
    search.before = {"conv2d_direct", {{"pixels", 1}}};
    search.best = {"conv2d_direct", {{"pixels", 2}}};
    search.has_record = true;
    keys.push_back(search);
  }

  void add_net(const std::string& name, const Times& kernels_before, const Times& kernels_after, double rest_before = 0,
               double rest_after = 0) {
    std::set<std::string> names;
    for (const auto& [key, ms] : kernels_before) names.insert(key);
    nets.push_back({name, names});
    before.push_back(kernels_before);
    after.push_back(kernels_after);
    rest.emplace_back(rest_before, rest_after);
  }

  std::optional<NetComparison> compare(size_t net) {
    if (comparisons_left == 0) return std::nullopt;
    comparisons_left--;
    NetComparison c{{rest[net].first, {}}, {rest[net].second + (compared.empty() ? disturbed_by : 0), {}}, 0};
    compared.push_back(net);
    for (const KeySearch& search : keys) {
      if (!nets[net].keys.contains(search.text)) continue;
      const double was = before[net].at(search.text), is = search.has_win() ? after[net].at(search.text) : was;
      c.before.milliseconds += was;
      c.after.milliseconds += is;
      if (device) continue;
      c.before.kernel[search.text] = was;
      c.after.kernel[search.text] = is;
    }
    // A second round, with another machine's speed.
    for (NetTimes* times : {&c.before, &c.after}) {
      NetTimes slow = *times;
      slow.milliseconds *= 1.5;
      for (auto& [key, ms] : slow.kernel) ms *= 1.5;
      times->rounds = {*times, slow};
    }
    return c;
  }

  std::vector<std::optional<NetComparison>> judge() {
    return judge_nets(
        nets, keys,
        {[&](size_t net, bool) { return compare(net); }, [](KeySearch& search) { search.best = search.before; },
         [&](const std::string& line) { said.push_back(line); }});
  }

  std::string wins() const {
    std::string text;
    for (const KeySearch& search : keys)
      if (search.has_win()) text += search.text;
    return text;
  }
};

// Two wins of which b loses in the net so much that the net is slower as a whole.
Nets one_loser(int comparisons) {
  Nets n;
  n.comparisons_left = comparisons;
  n.add_win("a");
  n.add_win("b");
  n.add_net("net", {{"a", 10}, {"b", 10}}, {{"a", 8}, {"b", 15}});
  return n;
}

}  // namespace

TEST_CASE("a win that loses in the net goes, and the others stay, with or without time for a second comparison") {
  for (const int comparisons : {1, 2}) {
    Nets n = one_loser(comparisons);
    const auto judged = n.judge();
    CHECK(n.wins() == "a");
    REQUIRE(judged[0]);
    CHECK(judged[0]->after.milliseconds == doctest::Approx(18));
    CHECK(judged[0]->after.kernel.at("b") == doctest::Approx(10));
    CHECK(judged[0]->replaced == (comparisons == 1 ? 1 : 0));
    CHECK(n.said.size() == 1);
  }
}

TEST_CASE("a net that is slower as a whole costs its own wins, not those of others") {
  Nets n;
  for (const char* text : {"a", "b", "c"}) n.add_win(text);
  n.add_net("slower", {{"a", 10}, {"b", 10}}, {{"a", 9}, {"b", 9}}, 5, 10);
  n.add_net("faster", {{"c", 10}}, {{"c", 9}});
  const auto judged = n.judge();
  CHECK(n.wins() == "c");
  CHECK(judged[0]->after.milliseconds == judged[0]->before.milliseconds);
  CHECK(judged[0]->replaced == 0);
  CHECK(judged[1]->after.milliseconds == doctest::Approx(9));
  CHECK(n.compared == std::vector<size_t>{0, 1, 0});
}

TEST_CASE("one disturbed comparison costs a net nothing, unless there is no time for another") {
  for (const int comparisons : {1, 2}) {
    Nets n;
    n.comparisons_left = comparisons;
    n.disturbed_by = 5;
    n.add_win("a");
    n.add_net("net", {{"a", 10}}, {{"a", 9}}, 1, 1);
    CHECK(n.judge()[0]->after.milliseconds == doctest::Approx(comparisons == 1 ? 11 : 10));
    CHECK(n.wins() == (comparisons == 1 ? "" : "a"));
  }
}

TEST_CASE("what a later net drops is timed again in an earlier one, or reckoned") {
  for (const int comparisons : {2, 4}) {
    Nets n;
    n.comparisons_left = comparisons;
    n.add_win("a");
    n.add_win("b");
    n.add_net("first", {{"a", 10}, {"b", 10}}, {{"a", 8}, {"b", 9}}, 1, 1);
    n.add_net("second", {{"b", 10}}, {{"b", 12}}, 1, 1);
    const auto judged = n.judge();
    CHECK(n.wins() == "a");
    CHECK(judged[0]->after.milliseconds == doctest::Approx(19));
    CHECK(judged[0]->replaced == (comparisons == 2 ? 1 : 0));
    // It is the net of before.
    CHECK(judged[1]->after.milliseconds == doctest::Approx(11));
    CHECK(judged[1]->replaced == 0);
  }
}

TEST_CASE("a net whose second comparison is slower as a whole loses its wins") {
  Nets n = one_loser(2);
  n.rest[0] = {1, 6};
  CHECK(n.judge()[0]->after.milliseconds == doctest::Approx(21));
  CHECK(n.wins().empty());
}

TEST_CASE("on a device, where kernels have no times, a whole net decides") {
  Nets slower = one_loser(5), faster = one_loser(5);
  slower.device = faster.device = true;
  faster.after[0]["b"] = 11;
  CHECK(slower.judge()[0]->after.milliseconds == doctest::Approx(20));
  CHECK(slower.wins().empty());
  CHECK(faster.judge()[0]->after.milliseconds == doctest::Approx(19));
  CHECK(faster.wins() == "ab");
}

TEST_CASE("without any comparison all wins are as they were") {
  Nets n = one_loser(0);
  CHECK(!n.judge()[0]);
  CHECK(n.wins() == "ab");
}

TEST_CASE("a kernel that is slower within the noise, or by less than 1 %, stays") {
  const auto wins_with = [](const std::vector<double>& after) {
    Nets n;
    n.add_win("a");
    n.nets.push_back({"net", {"a"}});
    const auto times = [](const std::vector<double>& rounds) {
      NetTimes result{10 + rounds[0], {{"a", rounds[0]}}, {}};
      for (const double ms : rounds) result.rounds.push_back({10 + ms, {{"a", ms}}, {}});
      return result;
    };
    const NetComparison c{times(std::vector<double>(after.size(), 1.0)), times(after), 0};
    judge_nets(n.nets, n.keys,
               {[&](size_t, bool) { return c; }, [](KeySearch& search) { search.best = search.before; },
                [](const std::string&) {}});
    return n.wins();
  };
  CHECK(wins_with({1.001, 1.001, 1.001}) == "a");
  CHECK(wins_with({1.009, 1.009, 1.009}) == "a");
  CHECK(wins_with({1.03, 1.03, 1.03}) == "");
  CHECK(wins_with({0.98, 1.03, 1.08}) == "a");
  CHECK(wins_with({1.02, 1.03, 1.04}) == "");
  CHECK(wins_with({1.029, 1.03, 1.031}) == "");
}

TEST_CASE("a whole net that is slower within the noise keeps its wins") {
  const auto judged = [](double second_round) {
    NetComparison c;
    c.before.rounds = {{10, {}, {}}, {10, {}, {}}, {10, {}, {}}};
    c.after.rounds = {{10.08, {}, {}}, {10.08, {}, {}}, {second_round, {}, {}}};
    Nets n;
    n.add_win("a");
    n.nets.push_back({"net", {"a"}});
    judge_nets(n.nets, n.keys,
               {[&](size_t, bool) { return c; }, [](KeySearch& search) { search.best = search.before; },
                [](const std::string&) {}});
    return n.wins();
  };
  CHECK(judged(10.08) == "");
  CHECK(judged(10.3) == "");  // a single disturbed round tells nothing
  NetComparison c;
  CHECK(ratio_of(c.before, c.after).ratio == 1);
}
