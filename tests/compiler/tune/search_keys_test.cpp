#include "compiler/tune/search_keys.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace resnetc;

namespace {

constexpr const char* some_key = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32";
// Candidates take what `time` says of a key and a choice.
struct Run {
  std::vector<KeySearch> keys;
  CostModel model;
  std::function<double(const KeySearch&, const Choice&)> time;
  int batches_left = 1000;
  std::vector<size_t> sizes;

  explicit Run(const std::vector<const char*>& texts) {
    const Machine machine = machine_for("x86-64-linux-avx2-fma", 2);
    for (const char* text : texts) keys.push_back(start_search(parse_key(text), 1, machine, std::nullopt));
  }
  void operator()() {
    search_keys(keys, model,
                {[&] { return batches_left > 0; },
                 [&](KeySearch& search, const std::vector<Choice>& batch) {
                   batches_left--;
                   sizes.push_back(batch.size());
                   std::vector<Measurement> measured;
                   for (const Choice& c : batch)
                     measured.push_back({c, "", time(search, c), time(search, c) / time(search, batch[0]), 0.005});
                   enter(search, model, measured);
                 }});
  }
};

size_t index_of(const KeySearch& search, const Choice& choice) {
  return static_cast<size_t>(std::find(search.choices.begin(), search.choices.end(), choice) - search.choices.begin());
}

double as_estimated(const KeySearch& search, const Choice& choice) {
  return 1e-6 * search.cycles[index_of(search, choice)];
}

}  // namespace

TEST_CASE("while time is left, what was judged hopeless by a little is tried too, and the rest is counted") {
  Run run({some_key});
  run.time = as_estimated;
  run();
  const KeySearch& search = run.keys[0];
  const double least = *std::min_element(search.cycles.begin(), search.cycles.end());
  size_t between = 0;
  for (size_t i = 0; i < search.choices.size(); i++)
    between += !search.tried[i] && search.cycles[i] > 1.4 * least && search.cycles[i] < 3 * least;
  CHECK(between == 0);
  CHECK(search.tried_count() + search.hopeless == search.choices.size());
  CHECK(run.sizes[0] == 1 + 3);
  CHECK(*std::max_element(run.sizes.begin(), run.sizes.end()) == 1 + 8);
}

TEST_CASE("the search ends with its time, and says how many of the untried were judged hopeless by then") {
  Run run({some_key});
  run.time = as_estimated;
  run.batches_left = 5;
  run();
  const KeySearch& search = run.keys[0];
  CHECK(search.tried_count() + search.hopeless < search.choices.size());
}

TEST_CASE("a key at which another tuner works comes after the others") {
  Run run({some_key, "conv2d_i7x7x32b1_w48x3x3x32_w48_to_i7x7x48b1_padding1_relu_f32"});
  for (const size_t busy : {size_t{0}, size_t{1}}) {
    std::vector<std::string> measured;
    search_keys(run.keys, run.model,
                {[&] { return measured.empty(); },
                 [&](KeySearch& search, const std::vector<Choice>&) { measured.push_back(search.text); }, 8,
                 [&] { run.keys[busy].elsewhere = true; }});
    CHECK(measured == std::vector{run.keys[1 - busy].text});
  }
}

TEST_CASE("a key of which no candidate runs is left alone") {
  Run run({some_key});
  int batches = 0;
  search_keys(run.keys, run.model,
              {[] { return true; },
               [&](KeySearch& search, const std::vector<Choice>& batch) {
                 batches++;
                 std::vector<Measurement> measured;
                 for (const Choice& c : batch) measured.push_back({c, "it crashed"});
                 enter(search, run.model, measured);
               }});
  CHECK(batches == 2);
}
