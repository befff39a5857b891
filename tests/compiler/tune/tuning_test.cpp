#include "compiler/tune/tuning.h"

#include <doctest/doctest.h>

#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

namespace {

const KernelKey key = parse_key("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32");

// A run that has measured its first choice; `other` is what another one writes into the same file.
struct TwoTuners {
  test::TemporaryFolder folder;
  Tuning t{{}, machine_for("x86-64-linux-avx2-fma", 2)};

  TwoTuners() {
    t.records = folder / "records.jsonl";
    t.keys.push_back(start_search(key, 1, t.machine, std::nullopt));
    search().milliseconds = 2;
  }
  KeySearch& search() { return t.keys[0]; }
  const Choice& choice(size_t i) { return search().choices.at(i); }

  void best_is(size_t i) {
    search().best = choice(i);
    search().milliseconds = 1;
  }
  void other(size_t i, bool provisional, bool dropped = false) {
    Record record = record_of(t, search(), choice(i), 1);
    record.provisional = provisional;
    record.dropped = dropped;
    append_line(t.records, to_json_line(record));
  }
  Choice stands(Provisional provisional = Provisional::counts) {
    const auto found = in_force(t, search(), read_records(t.records).records, provisional);
    return found ? found->choice : Choice{"nothing", {}};
  }
};

}  // namespace

TEST_CASE("what stood before does not erase another tuner's win, which is measured against instead") {
  for (const bool provisional : {true, false}) {
    TwoTuners two;
    two.other(5, provisional);
    CHECK(!write_best(two.t, two.search()));
    CHECK(two.stands() == two.choice(5));
    CHECK(read_records(two.t.records).records.size() == 1);
    CHECK(two.search().best == two.choice(5));
    CHECK(two.search().before == two.choice(provisional ? 0 : 5));
    CHECK(two.search().has_win() == provisional);
    // From here on it is what this run has seen.
    CostModel model;
    const std::vector<Choice> batch = next_batch(two.search(), model, {}, 3);
    CHECK(batch[0] == two.choice(5));
    CHECK(batch[1] == two.choice(0));
    two.best_is(0);
    CHECK(write_best(two.t, two.search()));
    CHECK(two.stands() == two.choice(0));
  }
}

TEST_CASE("a win does not replace another tuner's win that it was not measured against") {
  TwoTuners two;
  REQUIRE(write_best(two.t, two.search()));
  two.other(5, true);
  two.best_is(7);
  CHECK(!write_best(two.t, two.search()));
  CHECK(two.stands() == two.choice(5));
  CostModel model;
  const std::vector<Choice> batch = next_batch(two.search(), model, {}, 3);
  REQUIRE(batch.size() == 4);
  CHECK(std::vector(batch.begin(), batch.begin() + 3) == std::vector{two.choice(5), two.choice(7), two.choice(0)});
  std::vector<Measurement> measured;
  for (const Choice& c : batch) {
    const double ms = c == two.choice(7) ? 1 : 2;
    measured.push_back({c, "", ms, ms / 2, 0.001, false});
  }
  CHECK(enter(two.search(), model, measured) == Entered::better);
  CHECK(write_best(two.t, two.search()));
  CHECK(two.stands() == two.choice(7));
  CHECK(two.search().before == two.choice(0));
  CHECK(two.search().rival == std::nullopt);
}

TEST_CASE("two tuners that found the same agree") {
  TwoTuners two;
  two.other(5, true);
  two.best_is(5);
  CHECK(write_best(two.t, two.search()));
  CHECK(two.search().has_win());
  CHECK(two.search().milliseconds == 1);
  CHECK(read_records(two.t.records).records.size() == 1);
}

TEST_CASE("who drops or confirms a win leaves another tuner's that came since") {
  for (const bool provisional : {true, false})
    for (const bool drops : {true, false}) {
      TwoTuners two;
      two.best_is(7);
      REQUIRE(write_best(two.t, two.search()));
      two.other(5, provisional);
      if (drops)
        drop_win(two.t, two.search());
      else
        confirm_win(two.t, two.search());
      CHECK(two.stands() == two.choice(5));
      CHECK(read_records(two.t.records).records.size() == 2);
      if (drops) CHECK(!two.search().has_win());
    }
}

TEST_CASE("a win that another tuner has dropped is not brought back") {
  TwoTuners two;
  two.best_is(7);
  REQUIRE(write_best(two.t, two.search()));
  two.other(7, false, true);
  confirm_win(two.t, two.search());
  CHECK(two.stands() == Choice{"nothing", {}});
  CHECK(!two.search().has_win());
  CHECK(two.search().best == two.choice(0));
}

TEST_CASE("before a whole net is timed, news of its keys are taken over") {
  TwoTuners two;
  REQUIRE(write_best(two.t, two.search()));
  two.other(5, true);
  take_over_news(two.t, {{"another key", 1}});
  CHECK(!two.search().has_win());
  take_over_news(two.t, {{two.search().text, 1}});
  CHECK(two.search().best == two.choice(5));
  CHECK(two.search().has_win());
  confirm_win(two.t, two.search());
  CHECK(two.stands(Provisional::is_left_out) == two.choice(5));
}

TEST_CASE("records that cannot be used are no other tuner's win") {
  TwoTuners two;
  Record old = record_of(two.t, two.search(), two.choice(5), 1);
  old.halide = "20.0.0";
  append_line(two.t.records, to_json_line(old));
  old = record_of(two.t, two.search(), two.choice(5), 1);
  old.choice.parameters.front().second = 999;
  append_line(two.t.records, to_json_line(old));
  CHECK(write_best(two.t, two.search()));
  CHECK(two.stands() == two.choice(0));
}

TEST_CASE("a default that beats a record in a net is provisional until that net is done, and can be taken back") {
  TwoTuners two;
  two.t.keys[0] = start_search(key, 1, two.t.machine, two.t.keys[0].choices[5]);
  for (const bool measured : {false, true}) {
    two.search().milliseconds = measured ? 3 : 0;
    two.search().fallback_ratio = 1.5;
    write_default(two.t, two.search(), 2.5);
    CHECK(two.search().has_win());
    CHECK(two.search().milliseconds == (measured ? 2 : 2.5));
    CHECK(two.stands() == two.choice(0));
    CHECK(two.stands(Provisional::is_left_out) == (measured ? two.choice(5) : Choice{"nothing", {}}));
    drop_win(two.t, two.search());
    CHECK(two.stands() == two.choice(5));
    CHECK(two.search().milliseconds == (measured ? doctest::Approx(3) : doctest::Approx(2.5)));
  }
  write_default(two.t, two.search(), 2.5);
  confirm_win(two.t, two.search());
  CHECK(two.stands(Provisional::is_left_out) == two.choice(0));
}

TEST_CASE("a confirmed record has the times that are known by then") {
  TwoTuners two;
  two.best_is(7);
  two.search().fallback_ratio = 0.5;
  REQUIRE(write_best(two.t, two.search()));
  CHECK(two.search().seen->default_milliseconds == 2);
  two.search().fallback_ratio = 0.8;
  confirm_win(two.t, two.search());
  CHECK(read_records(two.t.records).records.back().default_milliseconds == 1.25);
  CHECK(!two.search().seen->provisional);
}

TEST_CASE("a record's share is of the largest peak that the run has seen when it ends") {
  TwoTuners two;
  two.t.peak_gflops = 100;
  CHECK(write_best(two.t, two.search()));
  const auto share = [&] { return read_records(two.t.records).records.back().percent_of_peak; };
  const double at_first = share();
  restate_shares(two.t, two.search());
  CHECK(read_records(two.t.records).records.size() == 1);
  two.t.peak_gflops = 200;
  restate_shares(two.t, two.search());
  CHECK(read_records(two.t.records).records.size() == 2);
  CHECK(share() == doctest::Approx(at_first / 2));
  // A later run whose readings are lower knows less.
  two.t.peak_gflops = 150;
  restate_shares(two.t, two.search());
  CHECK(read_records(two.t.records).records.size() == 2);
}

TEST_CASE("a best that turned out to be wrong is dropped, whoever wrote it, and no record brings it back") {
  for (const bool lasting : {false, true}) {
    TwoTuners two;
    REQUIRE(write_best(two.t, two.search()));
    two.best_is(7);
    REQUIRE(write_best(two.t, two.search()));
    if (lasting) two.other(7, false);
    if (lasting) take_over_news(two.t, {{two.search().text, 1}});
    two.search().wrong.push_back(two.choice(7));
    two.search().best = two.search().before = two.choice(0);
    two.search().milliseconds = 1;
    drop_wrong(two.t, two.search(), two.choice(7));
    two.search().wrong.clear();  // another run
    CHECK(two.stands() == two.choice(0));
    CHECK(read_records(two.t.records).records.size() == (lasting ? 5 : 3));
  }
}

TEST_CASE("a share of a peak that nobody knew is told when it is known, but none of another run's record") {
  TwoTuners two;
  CHECK(write_best(two.t, two.search()));
  const auto last = [&] { return read_records(two.t.records).records.back(); };
  CHECK(last().percent_of_peak == 0);
  two.t.peak_gflops = 100;
  restate_shares(two.t, two.search());
  CHECK(last().percent_of_peak == doctest::Approx(last().gflops));
  two.t.peak_gflops = 50;
  two.other(5, false);
  take_over_news(two.t, {{two.search().text, 1}});
  two.search().milliseconds = 1;
  two.t.peak_gflops = 100;
  restate_shares(two.t, two.search());
  CHECK(read_records(two.t.records).records.size() == 3);
}
