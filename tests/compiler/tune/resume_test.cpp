#include "compiler/tune/resume.h"

#include <doctest/doctest.h>

#include "compiler/files.h"
#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

namespace {

const KernelKey key = parse_key("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32");

Tuning tuning() {
  const char* target = "x86-64-linux-avx2-fma";
  Tuning t{{}, machine_for(target, 2)};
  t.options.threads = 2;
  t.hardware = "A CPU";
  t.keys.push_back(start_search(key, 1, t.machine, std::nullopt));
  return t;
}

Trial trial(const Tuning& t, size_t choice, double milliseconds) {
  return {record_of(t, t.keys[0], t.keys[0].choices.at(choice), milliseconds), milliseconds > 0 ? "" : "it failed", 1};
}

// With a record of the default.
RecordFile known_with(const std::vector<Record>& records) {
  const Tuning t = tuning();
  RecordFile known{{record_of(t, t.keys[0], t.keys[0].best, 2)}, {}};
  known.records.insert(known.records.end(), records.begin(), records.end());
  return known;
}
const RecordFile with_default = known_with({});

// Which of the first choices count as tried, as "1101".
std::string tried(const RecordFile& known, const std::vector<std::pair<size_t, double>>& times) {
  Tuning t = tuning();
  std::vector<Trial> trials;
  for (const auto& [choice, milliseconds] : times) trials.push_back(trial(t, choice, milliseconds));
  resume(t, known, trials);
  std::string text;
  for (size_t i = 0; i < 4; i++) text += t.keys[0].tried[i] ? '1' : '0';
  return text;
}

}  // namespace

TEST_CASE("what was tried is not tried again, but for a win that has no record") {
  CHECK(tried(with_default, {}) == "0000");
  CHECK(tried(with_default, {{0, 2.0}, {1, 3.0}, {3, 0}}) == "1101");
  // The fastest, by more than what is no win.
  CHECK(tried(with_default, {{0, 2.0}, {1, 1.0}, {2, 1.5}}) == "1010");
  CHECK(tried(with_default, {{0, 2.0}, {1, 1.99}}) == "1100");
  // Once only.
  CHECK(tried(with_default, {{0, 2.0}, {1, 1.0}, {1, 1.1}}) == "1100");
}

TEST_CASE("what failed for a reason that may be gone is tried again, and what it is stays in the file") {
  Tuning t = tuning();
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder / "records.trials.jsonl";
  for (const size_t choice : {0, 1, 2}) {
    Trial failed = trial(t, choice, 0);
    failed.temporary = choice != 1;
    append_trial(file, failed);
  }
  append_trial(file, trial(t, 2, 0));  // the next run's
  const std::vector<Trial> trials = read_trials(file);
  REQUIRE(trials.size() == 4);
  CHECK(trials[0].temporary);
  CHECK(!trials[1].temporary);
  resume(t, with_default, trials);
  CHECK(!t.keys[0].tried[0]);
  CHECK(t.keys[0].tried[1]);
  CHECK(t.keys[0].tried[2]);
}

TEST_CASE("a win that was recorded had its turn, also where it was dropped") {
  Tuning t = tuning();
  Record win = record_of(t, t.keys[0], t.keys[0].choices[1], 1);
  Record dropped = win;
  dropped.dropped = true;
  CHECK(tried(known_with({win, dropped}), {{0, 2.0}, {1, 1.0}}) == "1100");
  win.threads = 1;
  CHECK(tried(known_with({win}), {{0, 2.0}, {1, 1.0}}) == "1000");
}

TEST_CASE("the file says whether the best has a record") {
  for (const bool provisional : {false, true}) {
    Tuning t = tuning();
    Record record = record_of(t, t.keys[0], t.keys[0].best, 1);
    record.provisional = provisional;
    resume(t, {{record}, {}}, {});
    CHECK(t.keys[0].has_record);
  }
  Tuning t = tuning();
  resume(t, {{record_of(t, t.keys[0], t.keys[0].choices[1], 1)}, {}}, {});
  CHECK(!t.keys[0].has_record);
}

TEST_CASE("of a kernel without any record what was tried informs the model, but all is tried again") {
  CHECK(tried({}, {{0, 2.0}, {1, 1.0}, {3, 0}}) == "0000");
  Record other = with_default.records[0];
  other.largest_winograd = 0;
  CHECK(tried({{other}, {}}, {{0, 2.0}, {1, 1.0}}) == "0000");
  // Of what stood once and no longer does, too: the file is there.
  other = with_default.records[0];
  other.dropped = true;
  CHECK(tried({{other}, {}}, {{0, 2.0}, {1, 3.0}}) == "1100");

  Tuning fresh = tuning(), informed = tuning();
  resume(fresh, {}, {});
  resume(informed, {}, {trial(informed, 0, 200), trial(informed, 1, 300)});
  const auto predicted = [](Tuning& t) {
    return t.model.predict(t.keys[0].text, t.keys[0].choices[2], t.keys[0].cycles[2]);
  };
  CHECK(predicted(informed) != predicted(fresh));
}

TEST_CASE("what another tuner has tried meanwhile is not tried too, but for what may be tried again") {
  const test::TemporaryFolder folder;
  Tuning t = tuning();
  t.trials = folder / "trials.jsonl";
  const auto counts = [&] {
    learn_from_others(t);
    std::string text;
    for (size_t i = 0; i < 5; i++) text += t.keys[0].tried[i] ? '1' : '0';
    return text;
  };
  CHECK(counts() == "00000");
  CHECK(!t.keys[0].elsewhere);
  append_trial(t.trials, trial(t, 1, 2.5));
  append_trial(t.trials, trial(t, 3, 0));
  Trial again = trial(t, 2, 0);
  again.temporary = true;
  append_trial(t.trials, again);
  const double before = t.model.predict(t.keys[0].text, t.keys[0].choices[0], t.keys[0].cycles[0]);
  CHECK(counts() == "01010");
  CHECK(t.keys[0].elsewhere);
  CHECK(t.model.predict(t.keys[0].text, t.keys[0].choices[0], t.keys[0].cycles[0]) != before);
  // Half a line is read when it is whole.
  append_trial(folder / "whole.jsonl", trial(t, 4, 1.5));
  const std::string line = read_file(folder / "whole.jsonl");
  write_file(t.trials, read_file(t.trials) + line.substr(0, 40));
  CHECK(counts() == "01010");
  write_file(t.trials, read_file(t.trials) + line.substr(40));
  CHECK(counts() == "01011");
  // Of other conditions nothing counts.
  Trial other = trial(t, 0, 1);
  other.record.threads = 1;
  append_trial(t.trials, other);
  CHECK(counts() == "01011");
}
