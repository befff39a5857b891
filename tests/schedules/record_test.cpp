#include "schedules/record.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;
using namespace resnetc;
using test::TemporaryFolder;

namespace {

bool failing_fsync = false;
std::vector<ino_t> synced_inodes;

}  // namespace

// In place of the C library's, for all of this program.
extern "C" int fsync(int file) {
  struct stat status = {};
  if (fstat(file, &status) == 0) synced_inodes.push_back(status.st_ino);
  if (!failing_fsync) return static_cast<int>(syscall(SYS_fsync, file));
  errno = EIO;
  return -1;
}

namespace {

std::string contents(const fs::path& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

Record sample() {
  Record r;
  r.key = "conv2d_i56x56x64b1_w64x3x3x64_w64_to_i56x56x64b1_padding1_relu_f32";
  r.target = "x86-64-linux-avx-avx2-f16c-fma-sse41";
  r.choice = {"conv2d_direct", {{"oc_vectors", 2}, {"pixels", 6}}};
  r.threads = 2;
  r.batch = 8;
  r.largest_winograd = 6;
  r.milliseconds = 1.5;
  r.default_milliseconds = 1.75;
  r.gflops = 154.2;
  r.percent_of_peak = 75.5;
  r.cpu = "A \"CPU\"";
  r.halide = "21.0.0";
  r.strategy_version = 3;
  return r;
}

std::string refusal(const std::string& line) {
  try {
    parse_record(line);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a record is one line, and reading it gives the record back") {
  for (const bool dropped : {false, true}) {
    Record record = sample();
    record.dropped = dropped;
    record.provisional = !dropped;
    record.cold = !dropped;
    const std::string line = to_json_line(record);
    CHECK(line.find('\n') == std::string::npos);
    const Record read = parse_record(line);
    CHECK(to_json_line(read) == line);
    CHECK(read.choice == record.choice);
    CHECK(read.dropped == dropped);
    CHECK(read.provisional != dropped);
    CHECK(read.cold != dropped);
    CHECK(read.cpu == record.cpu);
    CHECK(read.milliseconds == record.milliseconds);
    CHECK(read.strategy_version == 3);
  }
}

TEST_CASE("a provisional record counts until it is dropped, and then what stood before does again") {
  const auto with = [](int pixels, bool provisional = false, bool dropped = false) {
    Record record = sample();
    record.choice.parameters[1].second = pixels;
    record.provisional = provisional;
    record.dropped = dropped;
    return record;
  };
  const auto pixels_of = [](const std::vector<Record>& records, Provisional provisional) {
    const auto in_force = records_in_force(records, provisional);
    return in_force.empty() ? 0 : in_force.at(identity_of(sample())).choice["pixels"];
  };
  struct Case {
    std::vector<Record> records;
    int now, without_provisional;
  };
  const Case cases[] = {
      {{}, 0, 0},
      {{with(1)}, 1, 1},
      {{with(1), with(2)}, 2, 2},
      {{with(1), with(2, true)}, 2, 1},
      {{with(1), with(2, true), with(3, true)}, 3, 1},
      {{with(2, true)}, 2, 0},
      {{with(1), with(2, true), with(2)}, 2, 2},
      {{with(1), with(2, true), with(2, false, true)}, 1, 1},
      {{with(2, true), with(2, false, true)}, 0, 0},
      // Another tuner's win is not what is taken back.
      {{with(1), with(2, true), with(3, true), with(2, false, true)}, 3, 1},
      // As files of the first versions have it.
      {{with(1), with(2), with(2, false, true)}, 0, 0},
      {{with(1), with(2), with(2, false, true), with(1)}, 1, 1},
  };
  for (const Case& c : cases) {
    CHECK(pixels_of(c.records, Provisional::counts) == c.now);
    CHECK(pixels_of(c.records, Provisional::is_left_out) == c.without_provisional);
  }
}

TEST_CASE("a record of a device names it in place of the CPU") {
  Record record = sample();
  record.cpu = "";
  record.device = "NVIDIA \"H100\"";
  const std::string line = to_json_line(record);
  CHECK(line.find("\"cpu\"") == std::string::npos);
  const Record read = parse_record(line);
  CHECK(to_json_line(read) == line);
  CHECK(read.device == record.device);
  CHECK(read.cpu.empty());
  CHECK(read.limits == DeviceLimits{});
  CHECK(line.find("gpu_") == std::string::npos);
  record.limits = {1024, 48 * 1024, 132};
  CHECK(parse_record(to_json_line(record)).limits == record.limits);
  Record other = record;
  other.device = "NVIDIA A100";
  CHECK(identity_of(record) != identity_of(other));
  CHECK(identity_of(record) != identity_of(sample()));
}

TEST_CASE("a line that is no record says why") {
  const std::string line = to_json_line(sample());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = line;
    const size_t at = changed.find(from);
    REQUIRE(at != std::string::npos);
    return changed.replace(at, from.size(), to);
  };
  CHECK(refusal(line).empty());
  CHECK(refusal(line.substr(0, line.size() / 2)) == "not JSON; a line cut short?");
  CHECK(refusal("[1]") == "not an object");
  CHECK(refusal("{}") == "\"key\" is missing");
  CHECK(refusal(with("\"threads\":2", "\"threads\":0")) == "\"threads\" must be from 1 to 4096, got 0");
  CHECK(refusal(with("\"threads\":2", "\"threads\":2.5")) == "\"threads\" must be a whole number");
  CHECK(refusal(with("\"batch\":8", "\"batch\":18446744073709551615")) ==
        "\"batch\" must be from 1 to 65536, got 18446744073709551615");
  CHECK(refusal(with("\"pixels\":6", "\"pixels\":18446744073709551610")).ends_with("got 18446744073709551610"));
  CHECK(refusal(with("\"pixels\":6", "\"pixels\":\"6\"")) == "\"pixels\" must be a whole number");
  CHECK(refusal(with("\"milliseconds\":1.5", "\"milliseconds\":-1")) ==
        "\"milliseconds\" must be a number of at least 0");
  CHECK(refusal(with("\"f6\"", "\"f3\"")) == "winograd must be off, f2, f4, f5 or f6, got 'f3'");
  CHECK(parse_record(line).largest_winograd == 6);
  CHECK(parse_record(with("\"winograd\":\"f6\",", "")).largest_winograd == 4);
  CHECK(refusal(with("\"cold\"", "\"warm\"")) == "\"weights\" must be \"cold\" or \"hot\"");
  CHECK(refusal(with("\"threads\"", "\"provisional\":1,\"threads\"")) == "\"provisional\" must be true or false");
  CHECK(refusal(with("\"21.0.0\"", "21")) == "\"halide\" must be a string");
  CHECK(refusal(std::string(10'000, ' ')) == "longer than 8192 bytes");
}

TEST_CASE("bad lines are named and skipped, the others are read") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  append_line(file, to_json_line(sample()));
  append_line(file, "{\"key\": 1}");
  append_line(file, "");
  append_line(file, to_json_line(sample()));
  const RecordFile read = read_records(file);
  CHECK(read.records.size() == 2);
  REQUIRE(read.problems.size() == 1);
  CHECK(read.problems[0] == file.string() + ":2: \"key\" must be a string; the line is skipped");
  CHECK(read_records(fs::path(folder.path) / "none.jsonl").records.empty());
  CHECK_THROWS_AS(read_records(folder.path), Error);
}

TEST_CASE("a line that a killed process left half-written is ended before the next") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  const std::string line = to_json_line(sample());
  std::ofstream(file) << line << "\n" << line.substr(0, 40);
  append_line(file, line);
  const RecordFile read = read_records(file);
  CHECK(read.records.size() == 2);
  CHECK(read.problems.size() == 1);
  CHECK(contents(file) == line + "\n" + line.substr(0, 40) + "\n" + line + "\n");
}

TEST_CASE("a line that cannot be brought to the disk is taken back") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  const std::string line = to_json_line(sample());
  append_line(file, line);
  failing_fsync = true;
  CHECK_THROWS_AS(append_line(file, line), Error);
  failing_fsync = false;
  CHECK(contents(file) == line + "\n");
}

TEST_CASE("a new file is brought to the disk with its folders, a known one alone") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "new" / "folder" / "records.jsonl";
  const auto synced = [&] {
    synced_inodes.clear();
    append_line(file, to_json_line(sample()));
    std::vector<bool> result;
    for (fs::path each = file; each != fs::path(folder.path).parent_path(); each = each.parent_path()) {
      struct stat status = {};
      REQUIRE(stat(each.c_str(), &status) == 0);
      result.push_back(std::find(synced_inodes.begin(), synced_inodes.end(), status.st_ino) != synced_inodes.end());
    }
    return result;
  };
  CHECK(synced() == std::vector{true, true, true, true});
  CHECK(synced() == std::vector{true, false, false, false});
}

TEST_CASE("a line depends on what is in the file, and nobody changes it in between") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  const std::string line = to_json_line(sample());
  CHECK(append_line_if(file, line, [](const std::vector<Record>& records) { return records.empty(); }));
  CHECK(!append_line_if(file, line, [](const std::vector<Record>& records) { return records.empty(); }));
  CHECK(append_line_if(file, line, [&](const std::vector<Record>& records) {
    const int other = open(file.c_str(), O_RDWR);
    CHECK(flock(other, LOCK_EX | LOCK_NB) != 0);
    close(other);
    return records.size() == 1;
  }));
  CHECK(read_records(file).records.size() == 2);
}

TEST_CASE("where a line does not fit, the file stays as it was") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "records.jsonl";
  const std::string line = to_json_line(sample());
  append_line(file, line);
  // A limit on the size of files does what a full disk does; in a child, which it would otherwise outlive.
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {line.size() + 30, line.size() + 30};
    setrlimit(RLIMIT_FSIZE, &limit);
    int status = 1;
    try {
      append_line(file, line);
    } catch (const Error&) {
      status = 0;
    }
    _exit(status);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(contents(file) == line + "\n");
}

TEST_CASE("several processes append to one file without losing a line") {
  const TemporaryFolder folder;
  const fs::path file = fs::path(folder.path) / "new folder" / "records.jsonl";
  constexpr int processes = 4, lines = 50;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; p++) {
    children.push_back(fork());
    if (children.back() == 0) {
      Record record = sample();
      for (int i = 0; i < lines; i++) {
        record.threads = 1 + p * lines + i;
        append_line(file, to_json_line(record));
      }
      _exit(0);
    }
  }
  for (pid_t child : children) waitpid(child, nullptr, 0);
  const RecordFile read = read_records(file);
  CHECK(read.problems.empty());
  std::vector<bool> seen(processes * lines, false);
  for (const Record& r : read.records) seen[static_cast<size_t>(r.threads - 1)] = true;
  CHECK(read.records.size() == processes * lines);
  CHECK(std::count(seen.begin(), seen.end(), true) == processes * lines);
}
