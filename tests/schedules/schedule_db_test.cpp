#include "schedules/schedule_db.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;
using namespace resnetc;
using test::TemporaryFolder;

namespace {

const std::string key_text = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32";
const std::string target = "x86-64-linux-avx-avx2-f16c-fma-sse41";

Machine machine(int threads = 2, const std::string& text = target) {
  return machine_for(text, threads);
}

Record record(const Choice& choice) {
  Record r;
  r.key = key_text;
  r.target = target;
  r.choice = choice;
  r.threads = 2;
  r.cpu = "here";
  r.halide = halide_version();
  for (const Strategy* strategy : strategies())
    if (strategy->name == choice.strategy) r.strategy_version = strategy->version;
  return r;
}

// The candidate at that place among those of the key.
Choice candidate(size_t index) {
  return candidates(parse_key(key_text), machine()).at(index);
}

std::optional<ScheduleDb::Match> found(const std::vector<std::vector<Record>>& files, const std::string& key = key_text,
                                       const Machine& on = machine(), int batch = 1) {
  const TemporaryFolder folder;
  ScheduleDb db;
  for (size_t i = 0; i < files.size(); i++) {
    const fs::path file = fs::path(folder.path) / fmt::format("{}.jsonl", i);
    for (const Record& r : files[i]) append_line(file, to_json_line(r));
    db.add_file(file, fmt::format("{}.jsonl", i));
  }
  CHECK(db.problems().empty());
  return db.find(parse_key(key), on, batch, "here");
}

}  // namespace

TEST_CASE("no record, no match") {
  CHECK(!found({}));
  CHECK(!found({{}}));
}

TEST_CASE("the last line of a key counts") {
  const auto match = found({{record(candidate(0)), record(candidate(1)), record(candidate(2))}});
  REQUIRE(match);
  CHECK(match->choice == candidate(2));
  CHECK(match->origin == "0.jsonl");
}

TEST_CASE("a win that was dropped no longer counts; what is said after it does") {
  Record dropped = record(candidate(1));
  dropped.dropped = true;
  CHECK(!found({{record(candidate(1)), dropped}}));
  const auto match = found({{record(candidate(1)), dropped, record(candidate(2))}});
  REQUIRE(match);
  CHECK(match->choice == candidate(2));
}

TEST_CASE("an earlier file stands over a later one, but not with a record of another key") {
  const auto match = found({{record(candidate(1))}, {record(candidate(2))}});
  REQUIRE(match);
  CHECK(match->choice == candidate(1));
  Record other = record(candidate(1));
  other.key = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48_padding1_relu_f32";
  const auto exact = found({{other}, {record(candidate(2))}});
  REQUIRE(exact);
  CHECK(exact->choice == candidate(2));
  CHECK(exact->origin == "1.jsonl");
}

TEST_CASE("nearer conditions win, and what differs is said") {
  Record four = record(candidate(1)), eight = record(candidate(2));
  four.threads = 4;
  eight.batch = 8;
  CHECK(found({{four, eight}})->choice == candidate(1));
  CHECK(found({{four, eight}})->origin == "0.jsonl (4 threads)");
  CHECK(found({{four, eight}}, key_text, machine(), 8)->choice == candidate(2));
  Record elsewhere = record(candidate(1));
  elsewhere.cpu = "there";
  CHECK(found({{elsewhere}})->origin == "0.jsonl (other CPU)");
  CHECK(found({{elsewhere, eight}})->choice == candidate(2));
}

TEST_CASE("a record serves a key that differs in its epilogue or border only") {
  const std::string added = "conv2d_i14x14x32b1_w48x3x3x32_w48_i14x14x48_to_i14x14x48_padding1_add_relu_f32";
  const auto match = found({{record(candidate(1))}}, added);
  REQUIRE(match);
  CHECK(match->choice == candidate(1));
  CHECK(match->origin == "0.jsonl (other epilogue or border)");
  CHECK(!found({{record(candidate(1))}}, "conv2d_i14x14x64b1_w48x3x3x64_w48_to_i14x14x48b1_padding1_relu_f32"));
}

TEST_CASE("what cannot be used is left alone") {
  Record old = record(candidate(1));
  old.halide = "20.0.0";
  CHECK(!found({{old}}));
  Record version = record(candidate(1));
  version.strategy_version = 99;
  CHECK(!found({{version}}));
  Record unknown = record({"conv2d_magic", {{"pixels", 3}}});
  CHECK(!found({{unknown}}));
  Record hostile = record(candidate(1));
  for (auto& [name, value] : hostile.choice.parameters) value = 0;
  CHECK(!found({{hostile}}));
  Record wider = record(candidate(1));
  wider.target = "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41";
  CHECK(!found({{wider}}));
  Record nonsense = record(candidate(1));
  nonsense.target = "; rm -rf";
  CHECK(!found({{nonsense}}));
}
