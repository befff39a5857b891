#include "compiler/tune/trials.h"

#include <doctest/doctest.h>

#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

TEST_CASE("files of records that differ in their extension have trials of their own") {
  CHECK(trials_file("d/x.jsonl") == "d/x.trials.jsonl");
  CHECK(trials_file("d/x.json") == "d/x.json.trials.jsonl");
  CHECK(trials_file("d/x.y") == "d/x.y.trials.jsonl");
}

TEST_CASE("a trial is one line, and reading it gives the trial back") {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder / "trials.jsonl";
  Record record;
  record.key = "k", record.target = "t", record.choice = {"s", {{"p", 3}}}, record.halide = "21.0.0";
  append_trial(file, {record, "it failed", 2.5});
  append_trial(file, {record, "", 3.5, 6.25, "conv2d_direct pixels=3"});
  const std::vector<Trial> read = read_trials(file);
  REQUIRE(read.size() == 2);
  CHECK(read[0].failure == "it failed");
  CHECK(read[0].second == 2.5);
  CHECK(read[0].ratio == 0);
  CHECK(read[1].failure == "");
  CHECK(read[1].ratio == 6.25);
  CHECK(read[1].against == "conv2d_direct pixels=3");
  CHECK(read[1].record.choice == record.choice);
}

TEST_CASE("a trial of a batch says how many images went together, which lines of earlier versions do not") {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder / "trials.jsonl";
  Record record;
  record.key = "k", record.target = "t", record.choice = {"s", {{"p", 3}}}, record.halide = "21.0.0";
  for (const int batch : {1, 8}) {
    record.batch = batch;
    Trial trial{record, "", 2.5};
    append_trial(file, trial);
    trial.images = batch / 4 + 1;
    append_trial(file, trial);
  }
  const std::vector<Trial> read = read_trials(file);
  REQUIRE(read.size() == 4);
  CHECK(read[0].images == 1);
  CHECK(read[1].images == 1);
  CHECK(read[2].images == 0);
  CHECK(read[3].images == 3);
}
