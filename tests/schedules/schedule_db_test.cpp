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
const std::string here = "One EPYC family 25 model 1", there = "One EPYC family 25 model 17";
const std::string target = "x86-64-linux-avx-avx2-f16c-fma-sse41";

// XDG_DATA_HOME as long as it lives.
struct DataHome {
  const char* set = std::getenv("XDG_DATA_HOME");
  const std::string earlier = set ? set : "";
  explicit DataHome(const std::string& folder) { setenv("XDG_DATA_HOME", folder.c_str(), 1); }
  ~DataHome() { set ? setenv("XDG_DATA_HOME", earlier.c_str(), 1) : unsetenv("XDG_DATA_HOME"); }
};

Machine machine(int threads = 2, const std::string& text = target) {
  return machine_for(text, threads);
}

Record record(const Choice& choice) {
  Record r;
  r.key = key_text;
  r.target = target;
  r.choice = choice;
  r.threads = 2;
  r.cpu = here;
  r.halide = halide_version();
  for (const Strategy* strategy : strategies())
    if (strategy->name == choice.strategy) r.strategy_version = strategy->version;
  return r;
}

// The candidate at that place among those of the key.
Choice candidate(size_t index) {
  return candidates(parse_key(key_text), machine()).at(index);
}

Machine limited(int largest_winograd) {
  Machine result = machine();
  result.largest_winograd = largest_winograd;
  return result;
}

std::vector<Choice> candidates_with(const Machine& on, const std::string& strategy, int tile = 0) {
  std::vector<Choice> result = candidates(parse_key(key_text), on);
  std::erase_if(result, [&](const Choice& c) { return c.strategy != strategy || (tile > 0 && c["tile"] != tile); });
  return result;
}

std::optional<ScheduleDb::Match> found(const std::vector<std::vector<Record>>& files, const std::string& key = key_text,
                                       const Machine& on = machine(), int batch = 1, const std::string& cpu = here,
                                       bool has_problems = false, bool cold = true) {
  // Those behind the second are all shipped.
  constexpr RecordSource sources[] = {RecordSource::given, RecordSource::own, RecordSource::shipped};
  const TemporaryFolder folder;
  ScheduleDb db;
  for (size_t i = 0; i < files.size(); i++) {
    const fs::path file = fs::path(folder.path) / fmt::format("{}.jsonl", i);
    for (const Record& r : files[i]) append_line(file, to_json_line(r));
    db.add_file(file, sources[std::min<size_t>(i, 2)]);
  }
  CHECK(db.problems().empty() == !has_problems);
  return db.find(parse_key(key), on, batch, cpu, cold);
}

}  // namespace

TEST_CASE("what was tuned for half as many threads or fewer counts only where its file is named") {
  std::vector<Choice> always;  // candidates whatever the number of threads
  for (const Choice& choice : candidates_with(machine(), "conv2d_direct"))
    if (choice["pixel_tasks"] == 0) always.push_back(choice);
  REQUIRE(!always.empty());
  const Record two = record(always[0]);
  CHECK(found({{}, {}, {two}}, key_text, machine(3)));
  CHECK(!found({{}, {}, {two}}, key_text, machine(4)));
  CHECK(!found({{}, {two}}, key_text, machine(32)));
  CHECK(found({{two}}, key_text, machine(32)));
  CHECK(found({{}, {}, {two}}, key_text, machine(1)));
}

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

TEST_CASE("nearer conditions win, and what differs is said") {
  Record four = record(candidate(1)), eight = record(candidate(2));
  four.threads = 4;
  eight.batch = 8;
  CHECK(found({{four, eight}})->choice == candidate(1));
  CHECK(found({{four, eight}})->origin == "0.jsonl (4 threads)");
  CHECK(found({{four, eight}}, key_text, machine(), 8)->choice == candidate(2));
  Record elsewhere = record(candidate(1));
  elsewhere.cpu = there;
  CHECK(found({{elsewhere}})->origin == "0.jsonl (other CPU)");
  CHECK(found({{elsewhere, eight}})->choice == candidate(2));
  // Choices that are candidates whatever the number of threads.
  std::vector<Choice> always;
  for (const Choice& choice : candidates_with(machine(), "conv2d_direct"))
    if (choice["pixel_tasks"] == 0) always.push_back(choice);
  REQUIRE(always.size() >= 3);
  Record twelve = record(always[2]);
  twelve.threads = 12;
  four = record(always[0]), eight = record(always[1]);
  four.threads = 4, eight.batch = 8;
  for (const auto& records : {std::vector{eight, four, twelve}, {twelve, four, eight}}) {
    CHECK(found({records}, key_text, machine(3))->choice == always[0]);
    CHECK(found({records}, key_text, machine(11))->choice == always[2]);
    CHECK(found({records}, key_text, machine(2), 8)->choice == always[1]);
  }
}

TEST_CASE("the nearest machine wins, whatever its file is called") {
  Record other = record(candidate(2));
  other.cpu = there;
  for (const auto& shipped : {std::vector{record(candidate(1)), other}, {other, record(candidate(1))}}) {
    CHECK(found({{}, {}, shipped})->choice == candidate(1));
    CHECK(found({{}, {}, shipped})->origin == "shipped 2.jsonl");
    CHECK(found({{}, {}, shipped}, key_text, machine(), 1, there)->choice == candidate(2));
  }
  // The name that a machine gives its CPU does not matter, nor does a CPU that is not known.
  CHECK(found({{record(candidate(1)), other}}, key_text, machine(), 1, "Another EPYC family 25 model 33")->choice ==
        candidate(1));
  CHECK(found({{other}}, key_text, machine(), 1, "")->origin == "0.jsonl");
  // A user's records of another machine do not stand over shipped ones of this; records that are named do.
  CHECK(found({{}, {other}, {record(candidate(1))}})->choice == candidate(1));
  CHECK(found({{other}, {}, {record(candidate(1))}})->choice == candidate(2));
  CHECK(found({{}, {record(candidate(3))}, {record(candidate(1))}})->choice == candidate(3));
  Record no_fma = record(candidate(2));
  no_fma.target = "x86-64-linux-avx-avx2-fma-sse41";
  CHECK(found({{}, {}, {no_fma}})->origin == "shipped 2.jsonl (other target)");
  CHECK(found({{}, {}, {no_fma, record(candidate(1))}})->choice == candidate(1));
}

TEST_CASE(
    "no CPU of the kind: the vendor's, the nearest instruction set, a CPU that ends with it, not the file's name") {
  const auto of = [](size_t index, const std::string& on, const std::string& cpu) {
    Record r = record(candidate(index));
    r.target = record_target(machine(2, on));
    r.cpu = cpu;
    return r;
  };
  const std::string avx2 = "x86-64-linux-avx2-fma-f16c", zen3 = "AMD family 25 model 1", zen5 = "AMD family 26 model 2",
                    granite_rapids = "Intel family 6 model 173", alder_lake = "Intel family 6 model 151";
  const Record end = of(1, avx2, zen3), amd = of(2, avx2, zen5), intel = of(3, avx2, granite_rapids);
  for (const auto& records : {std::vector{end, amd, intel}, {intel, amd, end}, {amd, intel, end}}) {
    std::vector<std::vector<Record>> files = {{}, {}};
    for (const Record& r : records) files.push_back({r});
    CHECK(found(files, key_text, machine(2, avx2), 1, "")->choice == end.choice);
    CHECK(found(files, key_text, machine(2, avx2), 1, alder_lake)->choice == intel.choice);
    CHECK(found(files, key_text, machine(2, avx2), 1, zen3)->choice == end.choice);
    CHECK(found(files, key_text, machine(2, avx2), 1, zen5)->choice == amd.choice);
  }
  // The user's own stand before.
  CHECK(found({{}, {intel}, {end}}, key_text, machine(2, avx2), 1, "")->choice == intel.choice);

  const std::vector<Choice> all = candidates(parse_key(key_text), machine(2, "x86-64-linux-avx512_skylake"));
  const auto wide = [&](size_t index, const std::string& feature, const std::string& cpu) {
    Record r = of(0, "x86-64-linux-" + feature, cpu);
    r.choice = all.at(index), r.strategy_version = strategy_named(r.choice.strategy).version;
    return r;
  };
  const Record skylake = wide(1, "avx512_skylake", zen5), whole = wide(2, "avx512_zen5", zen5),
               cannonlake = wide(3, "avx512_cannonlake", granite_rapids);
  for (const auto& records : {std::vector{skylake, whole, cannonlake}, {cannonlake, whole, skylake}}) {
    std::vector<std::vector<Record>> files = {{}, {}};
    for (const Record& r : records) files.push_back({r});
    const auto choice = [&](const std::string& feature, const std::string& cpu) {
      return found(files, key_text, machine(2, "x86-64-linux-" + feature), 1, cpu)->choice;
    };
    CHECK(choice("avx512_zen4", "") == whole.choice);
    CHECK(choice("avx512_zen4", "AMD family 25 model 17") == whole.choice);
    CHECK(choice("avx512_cannonlake", "") == cannonlake.choice);
    CHECK(choice("avx512_skylake", "") == skylake.choice);
    CHECK(choice("avx512", "") == skylake.choice);
  }
}

TEST_CASE("tiles beyond the limit are not used, and do not replace what is within it") {
  const Machine f2 = limited(2), f4 = limited(4), f6 = limited(6), off = limited(0);
  const auto record_at = [&](const Machine& limit, int tile) {
    Record r = record(tile == 0 ? candidates_with(limit, "conv2d_direct").at(1)
                                : candidates_with(limit, "conv2d_winograd", tile).at(0));
    r.largest_winograd = limit.largest_winograd;
    return r;
  };
  const Record six = record_at(f6, 6), four = record_at(f4, 4), direct = record_at(f6, 0);
  CHECK(!found({{six}}, key_text, f4));
  CHECK(!found({{four}}, key_text, f2));
  CHECK(!found({{four}}, key_text, off));
  CHECK(found({{six}}, key_text, f6)->origin == "0.jsonl");
  CHECK(found({{four}}, key_text, f6)->origin == "0.jsonl (winograd f4)");
  CHECK(found({{four, six}}, key_text, f4)->choice == four.choice);
  CHECK(found({{four, six}}, key_text, f6)->choice == six.choice);
  CHECK(found({{direct}}, key_text, off)->choice == direct.choice);
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
  Record wider = record(candidate(1));
  wider.target = "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41";
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

namespace {

const std::string cuda = "x86-64-linux-avx2-fma-cuda-cuda_capability_80", h100 = "NVIDIA H100 80GB HBM3";

Choice device_candidate(size_t index) {
  return candidates(parse_key(key_text), machine(1, cuda)).at(index);
}

Record device_record(size_t index, const std::string& on = cuda, int batch = 1, const std::string& device = h100) {
  Record r = record(device_candidate(index));
  r.target = record_target(machine(1, on));
  r.strategy_version = strategy_named(r.choice.strategy).version;
  r.threads = 1;
  r.batch = batch;
  r.cpu = "";
  r.device = device;
  return r;
}

}  // namespace

TEST_CASE("records of a device serve its kind, whatever the CPU beside it and its threads") {
  const Machine here_machine = machine(8, cuda),
                strong = machine(2, "x86-64-linux-avx512_skylake-cuda-cuda_capability_80");
  for (const Machine& on : {here_machine, strong}) {
    const auto match = found({{device_record(1)}}, key_text, on, 1, h100);
    REQUIRE(match);
    CHECK(match->choice == device_candidate(1));
    CHECK(match->origin == "0.jsonl");
  }
  CHECK(record_target(here_machine) == record_target(strong));
  CHECK(!found({{device_record(1)}}, key_text, machine()));
  CHECK(!found({{device_record(1)}}, key_text, machine(1, "x86-64-linux-avx2-fma-opencl"), 1, h100));
  CHECK(!found({{record(candidate(1))}}, key_text, here_machine, 1, h100));
}

TEST_CASE("the nearest record of a device: its own, then the nearest batch") {
  const Machine on = machine(1, cuda);
  const Record one = device_record(1), many = device_record(2, cuda, 64), older = device_record(3, "host-cuda"),
               elsewhere = device_record(4, cuda, 1, "NVIDIA A100");
  CHECK(found({{one, many}}, key_text, on, 1, h100)->choice == one.choice);
  CHECK(found({{one, many}}, key_text, on, 32, h100)->choice == many.choice);
  CHECK(found({{one, many}}, key_text, on, 32, h100)->origin == "0.jsonl (batch 64)");
  CHECK(found({{older}}, key_text, on, 1, h100)->origin == "0.jsonl (other target)");
  CHECK(found({{older, many}}, key_text, on, 1, h100)->choice == many.choice);
  CHECK(found({{elsewhere}}, key_text, on, 1, h100)->origin == "0.jsonl (other device)");
  CHECK(found({{elsewhere, many}}, key_text, on, 1, h100)->choice == many.choice);
  // Which device there is compile does not know.
  CHECK(found({{elsewhere, many}}, key_text, on, 1, "")->choice == elsewhere.choice);
  CHECK(found({{elsewhere, many}}, key_text, on, 64, "")->origin == "0.jsonl");
  CHECK(found({{elsewhere, many}}, key_text, on, 64, "")->choice == many.choice);
}

TEST_CASE("a file of records is called by what it is for") {
  CHECK(record_file_name(machine(), here) == "amd-zen3-avx2.jsonl");
  CHECK(record_file_name(machine(1, cuda), h100) == "nvidia-h100-80gb-hbm3-cuda.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), " Some/GPU (TM) ../9") == "some-gpu-tm-9-opencl.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), "/") == "opencl.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), std::string(300, 'x')) == std::string(60, 'x') + "-opencl.jsonl");
}
