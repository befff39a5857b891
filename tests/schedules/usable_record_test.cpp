#include "schedules/usable_record.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "schedules/schedule_db.h"
#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;
using namespace resnetc;

namespace {

const std::string target = "x86-64-linux-avx-avx2-f16c-fma-sse41";

Record good() {
  Record r;
  r.key = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32";
  r.target = target;
  r.choice = default_choice(parse_key(r.key), machine_for(target, 2));
  r.threads = 2;
  r.cpu = "One EPYC family 25 model 1";
  r.halide = halide_version();
  r.strategy_version = strategy_named(r.choice.strategy).version;
  return r;
}

template <class Change>
Record changed(Change change) {
  Record r = good();
  change(r);
  return r;
}

// Of a file with these lines: problems, then notes, each from behind the file's name on.
std::vector<std::string> said(const std::vector<Record>& records, RecordSource source = RecordSource::own) {
  const test::TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  for (const Record& r : records) append_line(file, to_json_line(r));
  ScheduleDb db;
  db.add_file(file, source);
  std::vector<std::string> result;
  for (const auto* list : {&db.problems(), &db.notes()})
    for (const std::string& line : *list) {
      REQUIRE(line.starts_with(file.string() + ":"));
      result.push_back(line.substr(file.string().size() + 1));
    }
  return result;
}

}  // namespace

TEST_CASE("records of no use are named, once for each reason, with the line, the number and what to do") {
  const Record key = changed([](Record&r) { r.key = "conv3d_i1x1x1_to_i1x1x1_f32"; }),
               strategy = changed([](Record&r) {
                 r.choice = {"conv2d_magic", {{"pixels", 3}}};
               }),
               nowhere = changed([](Record&r) { r.target = "arm-64-linux"; }),
               parameter = changed([](Record&r) { r.choice.parameters.front().second = 1'000'000; });
  for (RecordSource source : {RecordSource::given, RecordSource::own, RecordSource::shipped}) {
    CHECK(said({good(), good()}, source).empty());
    CHECK(said({good(), key, key, strategy, key}, source) ==
          std::vector<std::string>{
              "4: strategy 'conv2d_magic' is not one of this resnetc; the line is not used: mend or remove it, or tune "
              "again",
              "2: key 'conv3d_i1x1x1_to_i1x1x1_f32' is not of a kernel that this resnetc knows; 3 such lines are not "
              "used: mend or remove it, or tune again"});
  }
  CHECK(said({nowhere}) ==
        std::vector<std::string>{"1: target 'arm-64-linux' is not one that this resnetc compiles for; the line is not "
                                 "used: mend or remove it, or tune again"});
  CHECK(said({parameter}) ==
        std::vector<std::string>{fmt::format(
            "1: '{}' is no choice for its key and target; the line is not used: mend or remove it, or tune again",
            to_string(parameter.choice).substr(0, 100) + (to_string(parameter.choice).size() > 100 ? "..." : ""))});
  // Other lines stand behind it in the file, and count.
  CHECK(said({key, good()}).size() == 1);
}

TEST_CASE("records of another version are kept, and told of only where one asks") {
  const Record halide = changed([](Record&r) { r.halide = "20.0.0"; }),
               version = changed([](Record&r) { r.strategy_version = 99; });
  const std::vector<std::string> notes = said({halide, good(), version, halide});
  REQUIRE(notes.size() == 2);
  CHECK(notes[0] ==
        fmt::format("1: of Halide '20.0.0', this is {}; 2 such lines are kept but not used: tune again with "
                    "this one",
                    halide_version()));
  CHECK(notes[1] == fmt::format("3: of version 99 of {0}, this is {1}; the line is kept but not used: tune again with "
                                "this one",
                                good().choice.strategy, strategy_named(good().choice.strategy).version));
  UnusableRecords unusable;
  CHECK(!usable(halide, 7, unusable));
  CHECK(unusable.lines("f", false).empty());
  CHECK(unusable.lines("f", true).size() == 1);
  // A strategy that this version has not, of another Halide: not for this version to judge.
  CHECK(said({changed([](Record& r) { r.halide = "22.0.0", r.choice.strategy = "conv2d_magic"; })})
            .at(0)
            .starts_with("1: of Halide"));
}

TEST_CASE("what a file says reaches the terminal as plain text, and no more than a line of it") {
  const std::string line = said({changed([](Record& r) { r.key = "\x1b[2J\n" + std::string(5000, 'k'); })}).at(0);
  CHECK(line.size() < 300);
  CHECK(line.find_first_of("\x1b\n") == std::string::npos);
}

TEST_CASE("records with keys that no graph can have are refused before a strategy sees them") {
  for (const char* key :
       {"conv2d_i8x8x16_w16x3x3x16_to_i8x8x16_groups0_f32", "conv2d_to_i1x1x1_f32", "conv2d_i8x8x16_w16_to_i8x8x16_f32",
        "conv2d_i1x1x16_w16x3x3x16_to_i1x1x16_f32", "conv2d_i8x8x16_w16x1x1x16_w16_to_i8x8x16_project_f32",
        "conv2d_i0x0x0_w0x0x0x0_to_i0x0x0_f32", "conv2d_i99999x99999x16_w16x1x1x16_to_i99999x99999x16_f32",
        "conv2d_i8x8x16_w16x1x1x16_to_i8x8x16_stride0_f32", "max_pool_to_i1x1x1_f32", "dense_v16_w4x0_to_v4_f32",
        "input_to_i8x8x0_f32", "add_i8x8x16_to_i8x8x16_f32"}) {
    CAPTURE(key);
    for (const char* strategy : {"conv2d_direct", "conv2d_winograd", "dense", "elementwise", "layout", "max_pool"}) {
      const std::vector<std::string> lines = said({changed([&](Record& r) {
        r.key = key;
        r.choice.strategy = strategy;
        r.strategy_version = strategy_named(strategy).version;
      })});
      REQUIRE(lines.size() == 1);
      CHECK(lines[0].starts_with("1: key '" + std::string(key)));
    }
  }
}
