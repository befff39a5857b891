// Of records of other machines and conditions the nearest is found.
#include <doctest/doctest.h>

#include "tests/schedules/find_record.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

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
    r.target = machine(2, on).target.to_string();
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
