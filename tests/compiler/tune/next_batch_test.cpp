// The order of candidates and keys: tests/compiler/tune/key_search_test.cpp has what their times decide.
#include <doctest/doctest.h>

#include <algorithm>

#include "compiler/tune/key_search.h"

using namespace resnetc;

namespace {

KeySearch search_of(const char* key) {
  return start_search(parse_key(key), 1, machine_for("x86-64-linux-avx2-fma", 2), std::nullopt);
}

KeySearch some_search() {
  return search_of("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32");
}

// Candidate i is estimated at i + 1 cycles; the model has no samples, so these are its milliseconds.
KeySearch search_by_place() {
  KeySearch search = some_search();
  for (size_t i = 0; i < search.cycles.size(); i++) search.cycles[i] = static_cast<double>(i + 1);
  return search;
}

// As if the first n were tried.
void tried(KeySearch& search, size_t n) {
  std::fill_n(search.tried.begin(), n, true);
  search.milliseconds = 1;
  search.compared = true;
  search.batches = 3;
}

}  // namespace

TEST_CASE("hopeless candidates are left out, once enough were tried and their parameters' values are known") {
  CostModel model;
  KeySearch search = search_by_place();
  REQUIRE(search.choices.size() > 40);
  tried(search, 23);
  CHECK(hopeless_count(search, model) == 0);
  // With all but the last of the list tried, each value of that one is known.
  tried(search, search.choices.size() - 1);
  search.milliseconds = static_cast<double>(search.choices.size()) / 1.31;
  REQUIRE(hopeless_count(search, model) == 1);
  CHECK(next_batch(search, model, {}, 8).empty());
  search.milliseconds = static_cast<double>(search.choices.size()) / 1.29;
  CHECK(hopeless_count(search, model) == 0);
  CHECK(next_batch(search, model, {}, 8).size() == 2);
  // Of another strategy nothing is known.
  search.milliseconds = 1;
  search.choices.back().strategy = "conv2d_other";
  CHECK(hopeless_count(search, model) == 0);
  search.choices.back() = search.choices[search.choices.size() - 2];
  CHECK(hopeless_count(search, model) == 1);
}

TEST_CASE("every fifth candidate of a batch is drawn from two thirds down the list") {
  CostModel model;
  KeySearch search = search_by_place();
  search.best = search.choices[0];
  tried(search, 1);
  const std::vector<Choice> batch = next_batch(search, model, {}, 5);
  REQUIRE(batch.size() == 6);
  for (size_t i = 1; i < 5; i++) CHECK(batch[i] == search.choices[i]);
  const size_t untried = search.choices.size() - 1;
  CHECK(batch[5] == search.choices[1 + 4 + (untried - 4) * 2 / 3]);
}

TEST_CASE("a key that found nothing for some batches waits for those that did") {
  KeySearch search = search_by_place(), other = search_by_place();
  tried(search, 10), tried(other, 10);
  CHECK(priority(search) == priority(other));
  other.fruitless = 1;
  CHECK(priority(search) == doctest::Approx(4 * priority(other)));
}

TEST_CASE("what won for other keys of the same kind is suggested, the nearest work first, three at most") {
  std::vector<KeySearch> keys = {search_of("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32")};
  for (const int size : {112, 56, 28, 16, 14}) {
    const std::string s = std::to_string(size) + "x" + std::to_string(size);
    keys.push_back(search_of(("conv2d_i" + s + "x64b1_w64x3x3x64_w64_to_i" + s + "x64b1_padding1_relu_f32").c_str()));
    keys.back().best = {"conv2d_direct", {{"pixels", size}}};
    keys.back().milliseconds = size == 16 ? 0 : 1;  // not measured: its best is a guess
  }
  const auto pixels = [&] {
    std::vector<int> result;
    for (const Choice& c : winners_elsewhere(keys, keys[0])) result.push_back(c["pixels"]);
    return result;
  };
  CHECK(pixels() == std::vector<int>{14, 28, 56});
  keys.push_back(search_of("dense_i4x4x64_w10x64_w10_to_v10_global_average1_f32"));
  keys.back().milliseconds = 1;
  CHECK(pixels() == std::vector<int>{14, 28, 56});
}
