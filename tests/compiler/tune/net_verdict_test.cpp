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
  std::vector<Times> before, after, defaults;  // defaults: where what stood before is another choice
  int comparisons_left = 100;
  double default_rest = 0;  // as `rest`, with the defaults
  double disturbed_by = 0;  // what the first comparison takes longer after tuning
  bool device = false;
  std::vector<std::string> said;
  std::vector<size_t> compared;

  void add_win(const std::string& text) {
    KeySearch search;
    search.text = text;
    search.before = {"conv2d_direct", {{"pixels", 1}}};
    search.fallback = search.before;
    search.best = {"conv2d_direct", {{"pixels", 2}}};
    search.has_record = true;
    keys.push_back(search);
  }

  // Of another CPU, say.
  void add_record(const std::string& text, bool and_win = false) {
    add_win(text);
    keys.back().fallback = {"conv2d_direct", {{"pixels", 3}}};
    keys.back().has_record = and_win;
    if (!and_win) keys.back().best = keys.back().before;
  }

  void add_net(const std::string& name, const Times& kernels_before, const Times& kernels_after, double rest_before = 0,
               double rest_after = 0) {
    std::map<std::string, int> names;
    for (const auto& [key, ms] : kernels_before) names[key] = 1;
    nets.push_back({name, names});
    before.push_back(kernels_before);
    after.push_back(kernels_after);
    rest.emplace_back(rest_before, rest_after);
  }

  std::optional<NetComparison> compare(size_t net) {
    if (comparisons_left == 0) return std::nullopt;
    comparisons_left--;
    const bool records = defaults.size() > net;
    NetComparison c{{rest[net].first, {}}, {rest[net].second + (compared.empty() ? disturbed_by : 0), {}}, 0};
    compared.push_back(net);
    for (const KeySearch& search : keys) {
      if (!nets[net].keys.contains(search.text)) continue;
      const double was = before[net].at(search.text), by_default = records ? defaults[net].at(search.text) : was,
                   is = search.best == search.before     ? was
                        : search.best == search.fallback ? by_default
                                                         : after[net].at(search.text);
      c.before.milliseconds += was;
      c.after.milliseconds += is;
      if (records && !c.defaults) c.defaults = NetTimes{default_rest, {}};
      if (records) c.defaults->milliseconds += by_default;
      if (device) continue;
      if (records) c.defaults->kernel[search.text] = by_default;
      c.before.kernel[search.text] = was;
      c.after.kernel[search.text] = is;
    }
    // A second round, with another machine's speed.
    for (NetTimes* times : {&c.before, &c.after, c.defaults ? &*c.defaults : &c.before}) {
      if (!times->rounds.empty()) continue;
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
         [&](KeySearch& search, double ms) {
           CHECK(ms > 0);
           search.best = search.fallback;
           search.has_record = true;
         },
         [&](const std::string& line) { said.push_back(line); }});
  }

  std::string at_default() const {
    std::string text;
    for (const KeySearch& search : keys)
      if (search.best == search.fallback) text += search.text;
    return text;
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

TEST_CASE("another tuner's choice that comes before a net has the earlier ones that hold it timed again") {
  for (const bool lasting : {false, true})
    for (const int comparisons : {3, 5}) {
      Nets n;
      n.add_win("a");
      n.add_win("b");
      n.add_net("first", {{"a", 10}, {"b", 10}}, {{"a", 8}, {"b", 9}}, 1, 1);
      n.add_net("second", {{"b", 10}}, {{"b", 9}}, 1, 1);
      n.add_net("third", {{"a", 10}}, {{"a", 8}}, 1, 1);
      const auto judged = judge_nets(n.nets, n.keys,
                                     {[&](size_t net, bool) {
                                        if (net == 2 && n.compared.size() == 2) {
                                          n.keys[0].best = {"conv2d_direct", {{"pixels", 7}}};
                                          if (lasting) n.keys[0].before = n.keys[0].best;
                                        }
                                        if (n.compared.size() == static_cast<size_t>(comparisons))
                                          n.comparisons_left = 0;
                                        return n.compare(net);
                                      },
                                      [](KeySearch& search) { search.best = search.before; }, [](KeySearch&, double) {},
                                      [](const std::string&) {}});
      CHECK(n.compared == (comparisons == 3 ? std::vector<size_t>{0, 1, 2} : std::vector<size_t>{0, 1, 2, 0}));
      CHECK(judged[0]->outdated == (comparisons == 3 ? 1 : 0));
      CHECK(reservation(*judged[0]).empty() == (comparisons == 5));
      CHECK(judged[1]->is_of_what_stands());
      CHECK(judged[2]->is_of_what_stands());
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

TEST_CASE("a win that is slower in the net goes, within the noise too; one that is not slower stays") {
  const auto wins_with = [](const std::vector<double>& after) {
    Nets n;
    n.add_win("a");
    n.nets.push_back({"net", {{"a", 1}}});
    const auto times = [](const std::vector<double>& rounds) {
      NetTimes result{10 + rounds[0], {{"a", rounds[0]}}, {}};
      for (const double ms : rounds) result.rounds.push_back({10 + ms, {{"a", ms}}, {}});
      return result;
    };
    const NetComparison c{times(std::vector<double>(after.size(), 1.0)), times(after)};
    judge_nets(n.nets, n.keys,
               {[&](size_t, bool) { return c; }, [](KeySearch& search) { search.best = search.before; },
                [](KeySearch&, double) {}, [](const std::string&) {}});
    return n.wins();
  };
  CHECK(wins_with({1.0, 1.0, 1.0}) == "a");
  CHECK(wins_with({0.95, 0.99, 1.08}) == "a");
  CHECK(wins_with({1.001, 1.001, 1.001}) == "");
  CHECK(wins_with({1.03, 1.03, 1.03}) == "");
  CHECK(wins_with({0.98, 1.03, 1.08}) == "");
  CHECK(wins_with({1.02, 1.03, 1.04}) == "");
  CHECK(wins_with({1.029, 1.03, 1.031}) == "");
}

TEST_CASE("a win that is slower within the noise stays where another net decides that it is faster") {
  const auto wins_with = [](double elsewhere) {
    Nets n;
    n.add_win("a");
    n.add_net("one", {{"a", 100}}, {{"a", 100.1}}, 100, 100);
    n.add_net("other", {{"a", 100}}, {{"a", elsewhere}}, 100, 100);
    n.judge();
    return n.wins();
  };
  CHECK(wins_with(90) == "a");
  CHECK(wins_with(100) == "");
}

TEST_CASE("a whole net that is slower within the noise keeps its wins") {
  const auto judged = [](double second_round) {
    NetComparison c;
    c.before.rounds = {{10, {}, {}}, {10, {}, {}}, {10, {}, {}}};
    c.after.rounds = {{10.08, {}, {}}, {10.08, {}, {}}, {second_round, {}, {}}};
    Nets n;
    n.add_win("a");
    n.nets.push_back({"net", {{"a", 1}}});
    judge_nets(n.nets, n.keys,
               {[&](size_t, bool) { return c; }, [](KeySearch& search) { search.best = search.before; },
                [](KeySearch&, double) {}, [](const std::string&) {}});
    return n.wins();
  };
  CHECK(judged(10.08) == "");
  CHECK(judged(10.3) == "");  // a single disturbed round tells nothing
  NetComparison c;
  CHECK(ratio_of(c.before, c.after).ratio == 1);
}

TEST_CASE("a record that is slower than the default gives way, with or without time for a second comparison") {
  for (const int comparisons : {1, 5}) {
    Nets n;
    n.comparisons_left = comparisons;
    n.add_record("a");
    n.add_record("b");
    n.add_record("c", true);
    n.add_net("net", {{"a", 10}, {"b", 10}, {"c", 10}}, {{"c", 9}});
    n.defaults = {{{"a", 8}, {"b", 11}, {"c", 8}}};
    const auto judged = n.judge();
    CHECK(n.at_default() == "ac");
    CHECK(judged[0]->after.milliseconds == doctest::Approx(26));
    CHECK(judged[0]->before.milliseconds == doctest::Approx(30));
    CHECK(judged[0]->replaced == (comparisons == 1 ? 2 : 0));
    CHECK(n.compared.size() == (comparisons == 1 ? 1 : 2));
  }
}

TEST_CASE("a win that loses against what stood before may give way to a default that beats both") {
  Nets n;
  n.add_record("a", true);
  n.add_net("net", {{"a", 10}}, {{"a", 12}}, 1, 1);
  n.defaults = {{{"a", 8}}};
  n.judge();
  CHECK(n.at_default() == "a");
  n = {};
  n.add_record("a", true);
  n.add_net("net", {{"a", 8}}, {{"a", 12}}, 1, 1);
  n.defaults = {{{"a", 10}}};
  n.judge();
  CHECK(n.at_default() == "");
  CHECK(n.wins() == "");
}

TEST_CASE("a default that another net does not bear is taken back, and not taken again") {
  Nets n;
  n.add_record("a");
  n.add_net("first", {{"a", 10}}, {}, 100, 100);
  n.add_net("second", {{"a", 10}}, {}, 100, 100);
  n.default_rest = 100;
  n.defaults = {{{"a", 9.8}}, {{"a", 12}}};
  n.judge();
  CHECK(n.at_default() == "");
  CHECK(n.wins() == "");
}

TEST_CASE("a net that is slower as a whole than with the defaults takes them all, also on a device") {
  for (const bool device : {false, true}) {
    Nets n;
    n.device = device;
    n.add_record("a");
    n.add_record("b", true);
    n.add_record("c");
    n.add_net("slower", {{"a", 10}, {"b", 10}}, {{"b", 9}}, 5, 5);
    n.add_net("other", {{"c", 10}}, {}, 5, 5);
    n.defaults = {{{"a", 10}, {"b", 9}}, {{"c", 15}}};
    const auto judged = [&] {
      if (!device) return n.judge();
      return judge_nets(
          n.nets, n.keys,
          {[&](size_t net, bool) { return n.compare(net); }, [](KeySearch& search) { search.best = search.before; },
           [](KeySearch& search, double ms) {
             CHECK(ms == 0);
             search.best = search.fallback;
           },
           [](const std::string&) {}});
    }();
    CHECK(n.at_default() == "ab");
    CHECK(judged[0]->after.milliseconds == doctest::Approx(19));
    CHECK(judged[0]->replaced == 0);
    CHECK(judged[1]->after.milliseconds == doctest::Approx(15));
  }
}

TEST_CASE("what another net needed of a kernel is judged again when it is given up") {
  // Kernel a's win carries the second net, which is slower than its defaults without it.
  Nets n;
  n.add_record("a", true);
  n.add_record("b");
  n.add_net("first", {{"a", 10}}, {{"a", 9}}, 5, 5);
  n.add_net("second", {{"a", 10}, {"b", 10}}, {{"a", 7}}, 2, 2);
  n.defaults = {{{"a", 9}}, {{"a", 10}, {"b", 10}}};
  n.judge();
  CHECK(n.at_default() == "ab");
}

TEST_CASE("what a second comparison changes is timed once more") {
  Nets n;
  n.add_record("a");
  n.add_record("b");
  n.add_record("c");
  n.add_net("net", {{"a", 10}, {"b", 10}, {"c", 10}}, {}, 100, 100);
  n.default_rest = 100;
  n.defaults = {{{"a", 9}, {"b", 10}, {"c", 12}}};
  const auto judged = judge_nets(n.nets, n.keys,
                                 {[&](size_t net, bool again) {
                                    if (again) n.defaults[0]["b"] = 9;  // it was disturbed
                                    return n.compare(net);
                                  },
                                  [](KeySearch& search) { search.best = search.before; },
                                  [](KeySearch& search, double) {
                                    search.best = search.fallback;
                                    search.has_record = true;
                                  },
                                  [](const std::string&) {}});
  CHECK(n.at_default() == "ab");
  CHECK(judged[0]->replaced == 0);
  CHECK(n.compared.size() == 3);
}
