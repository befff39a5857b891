#include "compiler/tune/check_nets.h"

#include <doctest/doctest.h>

#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

namespace {

// Nets with that many MB of weights each, whose kernels are all in the cache.
double reserve(double budget_s, const std::vector<size_t>& megabytes) {
  Tuning t{{}, machine_for("x86-64-linux-avx2-fma", 2)};
  t.options.budget_s = budget_s;
  t.options.cache = "cache";
  for (const size_t size : megabytes) {
    t.nets.emplace_back();
    t.nets.back().weight_bytes = size * 1'000'000;
  }
  return check_reserve(t);
}

}  // namespace

TEST_CASE("whole nets have time reserved, half of the budget at most, and none where it would not do") {
  CHECK(reserve(600, {100}) == doctest::Approx(16));
  CHECK(reserve(15, {50}) == doctest::Approx(6));
  CHECK(reserve(15, {250}) == 0);
  CHECK(reserve(15, {250, 50}) == doctest::Approx(7.5));
  CHECK(reserve(1, {0}) == 0);
}

TEST_CASE("a win is provisional until it is confirmed, and what stood before stands again when it is dropped") {
  const test::TemporaryFolder folder;
  Tuning t{{}, machine_for("x86-64-linux-avx2-fma", 2)};
  t.records = folder / "records.jsonl";
  const KernelKey key = parse_key("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32");
  KeySearch search = start_search(key, 1, t.machine, std::nullopt);
  const std::string identity = identity_of(record_of(t, search, search.best, 0));
  const auto choice = [&](Provisional provisional) {
    return records_in_force(read_records(t.records).records, provisional).at(identity).choice;
  };
  search.milliseconds = 2;
  write_best(t, search);
  CHECK(!search.has_win());
  CHECK(choice(Provisional::is_left_out) == search.before);

  search.best = search.choices[1];
  write_best(t, search);
  CHECK(search.has_win());
  CHECK(choice(Provisional::counts) == search.choices[1]);
  CHECK(choice(Provisional::is_left_out) == search.before);
  confirm_win(t, search);
  CHECK(choice(Provisional::is_left_out) == search.choices[1]);

  search.best = search.choices[2];
  write_best(t, search);
  drop_win(t, search);
  CHECK(!search.has_win());
  CHECK(choice(Provisional::counts) == search.before);
}

TEST_CASE("a net that is compared again keeps its place, with the last comparison") {
  NamedComparisons comparisons;
  NetComparison c;
  for (const char* net : {"a", "b", "a"}) {
    c.replaced++;
    put(comparisons, net, c);
  }
  REQUIRE(comparisons.size() == 2);
  CHECK(comparisons[0].first == "a");
  CHECK(comparisons[0].second.replaced == 3);
  CHECK(comparisons[1].second.replaced == 2);
}
