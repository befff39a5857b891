#include "schedules/schedule_db.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "tests/schedules/find_record.h"

namespace fs = std::filesystem;
using namespace resnetc;
using namespace resnetc::test;

namespace {

// XDG_DATA_HOME as long as it lives.
struct DataHome {
  const char* set = std::getenv("XDG_DATA_HOME");
  const std::string earlier = set ? set : "";
  explicit DataHome(const std::string& folder) { setenv("XDG_DATA_HOME", folder.c_str(), 1); }
  ~DataHome() { set ? setenv("XDG_DATA_HOME", earlier.c_str(), 1) : unsetenv("XDG_DATA_HOME"); }
};

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

TEST_CASE("a file that nobody asked for and that cannot be read is named and skipped") {
  const TemporaryFolder folder;
  const fs::path data = folder.path, tuned = data / "resnetc" / "tuned", large = tuned / "a.jsonl";
  fs::create_directories(tuned / "folder.jsonl");
  append_line(large, to_json_line(record(candidate(1))));
  append_line(tuned / "z.jsonl", to_json_line(record(candidate(2))));
  fs::resize_file(large, (uint64_t{64} << 20) + 1);
  const DataHome home(folder.path);
  const ScheduleDb db = read_all_records({}, {});
  CHECK(db.problems() ==
        std::vector<std::string>{large.string() + ": larger than 64 MB; is it a file of records?; the file is skipped",
                                 (tuned / "folder.jsonl").string() + ": not a file of records; the file is skipped"});
  const auto match = db.find(parse_key(key_text), machine(), 1, here);
  REQUIRE(match);
  CHECK(match->choice == candidate(2));
  // Who names it is told.
  CHECK_THROWS_AS(read_all_records(large, {}), Error);
  CHECK_THROWS_AS(read_all_records(tuned / "folder.jsonl", {}), Error);
}

TEST_CASE("provisional records of a file can be left out") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  Record win = record(candidate(2));
  win.provisional = true;
  append_line(file, to_json_line(record(candidate(1))));
  append_line(file, to_json_line(win));
  const auto choice = [&](const fs::path& without) {
    return read_all_records(file, {}, without).find(parse_key(key_text), machine(), 1, here)->choice;
  };
  CHECK(choice({}) == candidate(2));
  CHECK(choice(file) == candidate(1));
  // Of the user's own file too, which stays the user's own.
  const fs::path own = fs::path(folder.path) / "resnetc" / "tuned" / "own.jsonl";
  fs::create_directories(own.parent_path());
  fs::copy_file(file, own);
  const DataHome home(folder.path);
  const auto match = read_all_records({}, {}, own).find(parse_key(key_text), machine(), 1, here);
  CHECK(match->choice == candidate(1));
  CHECK(match->origin == "own own.jsonl");
}

TEST_CASE("records with weights from memory and from the cache do not replace each other") {
  Record hot = record(candidate(1)), cold = record(candidate(2));
  hot.cold = false;
  for (const auto& records : {std::vector{hot, cold}, {cold, hot}}) {
    CHECK(found({records}, key_text, machine(), 1, here)->choice == cold.choice);
    CHECK(found({records}, key_text, machine(), 1, here, false, false)->choice == hot.choice);
  }
  CHECK(found({{hot}})->choice == hot.choice);  // where it is alone
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
  CHECK(exact->origin == "own 1.jsonl");
}

TEST_CASE("a record serves a key that differs in its epilogue or border only") {
  const std::string added = "conv2d_i14x14x32b1_w48x3x3x32_w48_i14x14x48_to_i14x14x48_padding1_add_relu_f32";
  const auto match = found({{record(candidate(1))}}, added);
  REQUIRE(match);
  CHECK(match->choice == candidate(1));
  CHECK(match->origin == "0.jsonl (other epilogue or border)");
  CHECK(!found({{record(candidate(1))}}, "conv2d_i14x14x64b1_w48x3x3x64_w48_to_i14x14x48b1_padding1_relu_f32"));
}

TEST_CASE("a record serves a key with weights that are stored otherwise, but is the last choice") {
  const std::string f32 = key_text, bf16 = "conv2d_i14x14x32b1_w48x3x3x32bf16_w48_to_i14x14x48b1_padding1_relu_f32",
                    added = "conv2d_i14x14x32b1_w48x3x3x32bf16_w48_i14x14x48_to_i14x14x48_padding1_add_relu_f32";
  REQUIRE(key_text == std::string("conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32"));
  const auto of = [](const std::string& key, const Choice& choice) {
    Record r = record(choice);
    r.key = key;
    return r;
  };
  std::vector<Choice> both;  // candidates for either
  for (const Choice& choice : candidates(parse_key(bf16), machine()))
    for (const Choice& other : candidates(parse_key(f32), machine()))
      if (choice == other) both.push_back(choice);
  REQUIRE(both.size() >= 2);
  const auto match = found({{of(f32, both[0])}}, bf16);
  REQUIRE(match);
  CHECK(match->choice == both[0]);
  CHECK(match->origin == "0.jsonl (weights stored otherwise)");
  // Its own come first, with another epilogue too.
  CHECK(found({{of(f32, both[0]), of(bf16, both[1])}}, bf16)->choice == both[1]);
  CHECK(found({{of(f32, both[0]), of(added, both[1])}}, bf16)->choice == both[1]);
  CHECK(found({{of(f32, both[0]), of(bf16, both[1])}}, f32)->choice == both[0]);
}

TEST_CASE("a record of a projection serves one with another epilogue, but no other convolution") {
  const std::string projects = "conv2d_i14x14x32_w48x1x1x96_w48_i28x28x64_to_i14x14x48_project_stride2";
  const auto entry = [](const std::string& key) {
    Record r = record(candidates(parse_key(key), machine()).at(1));
    r.key = key;
    return r;
  };
  CHECK(found({{entry(projects + "_relu_f32")}}, projects + "_f32"));
  CHECK(!found({{entry(projects + "_f32")}}, "conv2d_i14x14x32_w48x1x1x32_w48_to_i14x14x48_f32"));
  CHECK(!found({{entry("conv2d_i14x14x32_w48x1x1x32_w48_i14x14x48_to_i14x14x48_add_f32")}}, projects + "_f32"));
  CHECK(!found({{entry("conv2d_i14x14x32_w48x1x1x96_w48_i14x14x64_to_i14x14x48_project_f32")}}, projects + "_f32"));
}

TEST_CASE("what cannot be used is left alone") {
  Record old = record(candidate(1));
  old.halide = "20.0.0";
  CHECK(!found({{old}}));
  Record version = record(candidate(1));
  version.strategy_version = 99;
  CHECK(!found({{version}}));
  // Nor do they replace what can be used.
  CHECK(found({{record(candidate(1)), old, version}})->choice == candidate(1));
  Record unknown = record({"conv2d_magic", {{"pixels", 3}}});
  CHECK(!found({{unknown}}, key_text, machine(), 1, here, true));
  Record hostile = record(candidate(1));
  for (auto& [name, value] : hostile.choice.parameters) value = 0;
  CHECK(!found({{hostile}}, key_text, machine(), 1, here, true));
  const std::string avx512 = "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41";
  const std::vector<Choice> all = candidates(parse_key(key_text), machine());
  const auto of_both = std::find_if(all.begin(), all.end(), [&](const Choice& choice) {
    return is_legal(parse_key(key_text), choice, machine(2, avx512));
  });
  REQUIRE(of_both != all.end());
  Record wider = record(*of_both);
  wider.target = avx512;
  CHECK(!found({{wider}}));
  Record nonsense = record(candidate(1));
  nonsense.target = "; rm -rf";
  CHECK(!found({{nonsense}}, key_text, machine(), 1, here, true));
  for (const char* key :
       {"", "conv2d", "conv2d_i", "conv3d_i1x1x1_to_i1x1x1_f32", "conv2d_i14x14x99999999999999999999"}) {
    Record no_key = record(candidate(1));
    no_key.key = key;
    CHECK(!found({{no_key}}, key_text, machine(), 1, here, true));
  }
  // Nor does one whose choice is none stand in the way of one before it.
  CHECK(found({{record(candidate(1)), hostile}}, key_text, machine(), 1, here, true)->choice == candidate(1));
}
