#include "compiler/tune/tune_report.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <regex>

#include "tests/compiler/tune/baseline_trials.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

Tuning tuning() {
  Tuning t = tuning_of_one_kernel();
  t.peak_gflops = 100;
  std::fill_n(t.keys[0].tried.begin(), 4, true);
  return t;
}

Trial trial(const Tuning& t, size_t choice, double milliseconds, double second = 1) {
  return {record_of(t, t.keys[0], t.keys[0].choices.at(choice), milliseconds), milliseconds > 0 ? "" : "it failed",
          second};
}

// The rows of the tables: the text of each cell, without marks.
std::vector<std::vector<std::string>> rows(const std::string& html) {
  std::vector<std::vector<std::string>> result;
  const std::regex row("<tr>(.*?)</tr>"), cell("<t[dh][^>]*>(.*?)</t[dh]>"), mark("<br>|<[^>]*>");
  for (std::sregex_iterator r(html.begin(), html.end(), row), end; r != end; ++r) {
    const std::string cells = (*r)[1];
    result.emplace_back();
    for (std::sregex_iterator c(cells.begin(), cells.end(), cell); c != end; ++c)
      result.back().push_back(std::regex_replace((*c)[1].str(), mark, " "));
  }
  return result;
}

size_t count(const std::string& text, const std::string& part) {
  size_t result = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) result++;
  return result;
}

}  // namespace

TEST_CASE("report: a kernel's row, and the same time of its best below") {
  Tuning t = tuning();
  KeySearch& search = t.keys[0];
  search.best = search.choices.at(2), search.milliseconds = 0.5, search.fallback_ratio = 0.8;
  const std::string page =
      tune_report_html(t, {trial(t, 0, 0.7), trial(t, 1, 0.4), trial(t, 2, 0.6), trial(t, 3, 0)}, {});
  const auto table = rows(page);
  REQUIRE(table.size() == 2 + 5);
  const double gflops = static_cast<double>(flop_count(search.key)) / 0.5 * 1e-6;
  CHECK(table[1][1] == "3");
  CHECK(table[1][2] == "4 of " + std::to_string(search.choices.size()));
  CHECK(table[1][3] == "0.5 ms");
  CHECK(table[1][4] == std::to_string(std::lround(gflops)) + " %");
  CHECK(table[1][5].find("+25.0 %") != std::string::npos);
  // The best first, though another was faster at another moment; what failed last.
  CHECK(table[3][0].find(to_string(search.best)) != std::string::npos);
  CHECK(table[3][0].find("best") != std::string::npos);
  CHECK(table[3][1] == "0.5 ms");
  CHECK(table[4][1] == "0.4 ms");
  CHECK(table[6][1] == "it failed");
  CHECK(table[6][2] == "");
}

TEST_CASE("report: what was not measured has no time and no share of the peak") {
  const Tuning t = tuning();
  const auto fresh = rows(tune_report_html(t, {}, {}));
  CHECK(fresh[1][3] == "not measured");
  CHECK(fresh[1][4] == "");
  CHECK(fresh[1][5] == "");
  // An earlier run's time of the best stands for it.
  const auto resumed = rows(tune_report_html(t, {trial(t, 0, 0.3), trial(t, 0, 0.2), trial(t, 1, 0.1)}, {}));
  CHECK(resumed[1][3] == "0.2 ms");
  CHECK(resumed[1][5] == "");
  CHECK(resumed[3][1] == "0.2 ms");
  CHECK(resumed[3][3] == "2");
}

TEST_CASE("report: trials of other machines, conditions and versions are left out") {
  const Tuning t = tuning();
  const Trial own = trial(t, 0, 0.25);
  const std::vector<std::function<void(Record&)>> changes = {[](Record& r) { r.cpu = "Another CPU"; },
                                                             [](Record& r) { r.cold = !r.cold; },
                                                             [](Record& r) { r.halide = "20.0.0"; },
                                                             [](Record& r) { r.strategy_version = 99; },
                                                             [](Record& r) { r.threads = 4; },
                                                             [](Record& r) { r.batch = 8; },
                                                             [](Record& r) { r.target = "x86-64-linux"; },
                                                             [](Record& r) { r.choice.strategy = "conv2d_magic"; },
                                                             [](Record& r) { r.choice.parameters.clear(); }};
  std::vector<Trial> trials = {own};
  for (const auto& change : changes) {
    trials.push_back(trial(t, 1, 0.001));
    change(trials.back().record);
  }
  CHECK(tune_report_html(t, trials, {}) == tune_report_html(t, {own}, {}));
  CHECK(count(tune_report_html(t, trials, {}), "<circle") == 1);
}

TEST_CASE("report: what does not count as tried is left out, as of a kernel without any record") {
  Tuning t = tuning();
  const std::vector<Trial> trials = {trial(t, 0, 0.25), trial(t, 1, 0.125)};
  t.keys[0].tried[1] = false;
  CHECK(tune_report_html(t, trials, {}) == tune_report_html(t, {trials[0]}, {}));
}

TEST_CASE("report: a baseline's ratio is that to the best beside it, not to a time of another moment") {
  Tuning t = tuning();
  KeySearch& search = t.keys[0];
  search.milliseconds = 0.5;
  const auto cell = [&](const Trial& of) {
    const auto table = rows(tune_report_html(t, {of}, {}));
    CHECK(table[0].back() == baseline);
    return table[1].back();
  };
  CHECK(cell(baseline_of(t, 4, 6, search.best)) == "4 ms 6.0 &times; ours");
  CHECK(cell(baseline_of(t, 4, 6, search.choices.at(1))) == "4 ms");
  CHECK(cell(baseline_of(t, 4, 0, search.best)) == "4 ms");
  CHECK(cell(baseline_of(t, 0, 0, search.best)) == "failed: it failed");
  CHECK(rows(tune_report_html(t, {}, {}))[0].back() == "against the default");
}

TEST_CASE("report: a kernel's gain within the noise of the net's rounds is no colour's") {
  NetComparison net{{10, {{"a", 10}}, {}}, {9.9, {{"a", 9.9}}, {}}};
  const auto rounds = [](std::vector<double> times) {
    std::vector<NetTimes> result;
    for (const double ms : times) result.push_back({ms, {{"a", ms}}, {}});
    return result;
  };
  net.before.rounds = rounds({10, 10, 10});
  net.after.rounds = rounds({9.5, 9.9, 10.4});
  CHECK(rows(tune_report_html(tuning(), {}, {{"n", net}}))[1][3] == " +1.0 %, within the noise ");
  net.after.rounds = rounds({9.89, 9.9, 9.91});
  CHECK(rows(tune_report_html(tuning(), {}, {{"n", net}}))[1][3] == " +1.0 % ");
  // One lucky round is not what it is about.
  net.after = {9, {{"a", 9}}, rounds({9, 10.2, 10.21})};
  const std::string page = tune_report_html(tuning(), {}, {{"n", net}});
  CHECK(rows(page)[1][3] == " -2.0 % ");
  CHECK(page.find("<span class=\"loss\">-2.0 %") != std::string::npos);
}

TEST_CASE("report: the heading names all nets, also those that were not timed") {
  Tuning t = tuning();
  t.nets.emplace_back().model.name = "a net";
  CHECK(tune_report_html(t, {}, {}).find("<h1>resnetc tune: a net</h1>") != std::string::npos);
}

TEST_CASE("report: a net's times before and after by kernel, and with the defaults where they were timed apart") {
  const Tuning t = tuning();
  NetComparison net{{30, {{"a", 20}, {"b<", 10}}, {}}, {24, {{"a", 16}, {"b<", 8}}, {}}};
  const auto page = [&] { return tune_report_html(t, {}, {{"a net", net}}); };
  const auto table = rows(page());
  CHECK(table[0] ==
        std::vector<std::string>{"kernel", "before", "after", "time before / after - 1", "   before    after "});
  CHECK(table[3] == std::vector<std::string>{"all of them", "30.000 ms", "24.000 ms", "", ""});
  CHECK(table[1][0] == " a ");
  CHECK(table[1][1] == "20.000 ms");
  CHECK(table[1][2] == "16.000 ms");
  CHECK(table[1][3] == " +25.0 % ");
  CHECK(table[2][0] == " b&lt; ");
  CHECK(page().find("a net: 30.000 ms before, 24.000 ms after (") != std::string::npos);
  CHECK(count(page(), "class=\"bar default\"") == 0);
  net.defaults = net.before;
  CHECK(rows(page()) == table);

  net.defaults = NetTimes{50, {{"a", 40}, {"b<", 9}}, {}};
  net.outdated = 1;
  const auto three = rows(page());
  CHECK(three[0] == std::vector<std::string>{"kernel", "defaults", "before", "after", "time before / after - 1",
                                             "   defaults    before    after "});
  CHECK(three[1][1] == "40.000 ms");
  CHECK(three[2][1] == "9.000 ms");
  CHECK(three[2][3] == "8.000 ms");
  CHECK(three[1][4] == " +25.0 % ");
  CHECK(page().find("a net: 50.000 ms defaults, 30.000 ms before, 24.000 ms after (") != std::string::npos);
  CHECK(count(page(), "class=\"bar default\"") == 2 + 1);
  // The longest of all fills the width.
  CHECK(page().find("class=\"bar default\" style=\"width:200px\"") != std::string::npos);
  CHECK(page().find("class=\"bar\" style=\"width:80px\"") != std::string::npos);
  CHECK(page().find(reservation(net)) != std::string::npos);
}
