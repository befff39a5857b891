// Files of records that something has damaged: nothing crashes, each line is read or named, and those that were left
// alone are read as they were.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <random>

#include "schedules/schedule_db.h"
#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

namespace {

class Damage {
 public:
  explicit Damage(uint32_t seed) : random_(seed) {}

  size_t below(size_t end) { return random_() % end; }

  // In one way of several. What comes out is one line, and no empty one.
  std::string damaged(std::string line) {
    switch (below(6)) {
      case 0:
        for (size_t i = 0, count = 1 + below(4); i < count; i++) line[below(line.size())] ^= bit();
        break;
      case 1:
        line.resize(1 + below(line.size()));
        break;
      case 2:
        line = std::string(below(9000), below(2) == 0 ? '[' : '{') + line;
        break;
      case 3:
        replace(line, "0123456789", numbers[below(std::size(numbers))]);
        break;
      case 4:
        replace(line, ":", below(2) == 0 ? nested("[", "]") : nested("{\"a\":", "}"));
        break;
      default: {
        const size_t from = below(line.size());
        line.insert(below(line.size()), line.substr(from, below(80)));
      }
    }
    std::replace(line.begin(), line.end(), '\n', '?');
    return line;
  }

 private:
  std::mt19937 random_;
  static constexpr const char* numbers[] = {"18446744073709551615",
                                            "-9223372036854775809",
                                            "1e308",
                                            "1e999",
                                            "-0",
                                            "0.1",
                                            "99999999999999999999999",
                                            "null",
                                            "[]"};

  char bit() { return static_cast<char>(1 << below(8)); }

  // In place of one of these characters and of those behind it that are among them too; of a colon the value begins
  // with it.
  void replace(std::string& line, const char* characters, const std::string& by) {
    const size_t at = line.find_first_of(characters, below(line.size()));
    if (at == std::string::npos) return;
    if (line[at] == ':') return void(line.insert(at + 1, by));
    line.replace(at, line.find_first_not_of(characters, at) - at, by);
  }

  std::string nested(const std::string& opening, const std::string& closing) {
    std::string result = "1";
    for (size_t depth = below(1500); depth > 0; depth--) result = opening + result + closing;
    return result + ",\"b\":";
  }
};

Record sample(int number) {
  Record r;
  r.key = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32";
  r.target = "x86-64-linux-avx-avx2-f16c-fma-sse41";
  r.choice = {"conv2d_direct", {{"oc_vectors", 2}, {"pixels", 6}}};
  r.threads = 1 + number;
  r.provisional = number % 3 == 1;
  r.dropped = number % 3 == 2;
  r.milliseconds = 1.5;
  r.cpu = "AMD EPYC family 25 model 1";
  r.halide = halide_version();
  return r;
}

}  // namespace

TEST_CASE("damaged lines of records are named and skipped, or say something that is a record") {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder / "records.jsonl";
  const KernelKey key = parse_key(sample(0).key);
  const Machine machine = machine_for(sample(0).target, 2);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  uint32_t seed = std::random_device()();
  for (int files = 0; files < 10 || std::chrono::steady_clock::now() < end; files++, seed++) {
    INFO("seed " << seed);
    Damage damage(seed);
    std::vector<std::string> lines;
    std::vector<bool> whole;
    for (int i = 0; i < 20; i++) {
      const std::string line = to_json_line(sample(i));
      whole.push_back(damage.below(3) == 0);
      lines.push_back(whole.back() ? line : damage.damaged(line));
    }
    std::ofstream out(file, std::ios::binary);
    for (const std::string& line : lines) out << line << '\n';
    out.close();

    const RecordFile read = read_records(file);
    CHECK(read.records.size() + read.problems.size() == lines.size());
    size_t record = 0, problem = 0;
    for (size_t i = 0; i < lines.size(); i++) {
      if (record < read.lines.size() && read.lines[record] == i + 1) {
        const std::string text = to_json_line(read.records[record++]);
        if (whole[i]) CHECK(text == lines[i]);
        // What counts as a record can be written and read again.
        CHECK(to_json_line(parse_record(text)) == text);
      } else {
        CHECK(!whole[i]);
        REQUIRE(problem < read.problems.size());
        CHECK(read.problems[problem++].starts_with(fmt::format("{}:{}: ", file.string(), i + 1)));
      }
    }
    // Whatever they say, looking for a key among them ends.
    ScheduleDb db;
    db.add_file(file, RecordSource::given);
    db.find(key, machine, 1, sample(0).cpu);
  }
}
