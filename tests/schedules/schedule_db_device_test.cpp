// Records of devices.
#include <doctest/doctest.h>

#include "tests/schedules/find_record.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

const std::string cuda = "x86-64-linux-avx2-fma-cuda-cuda_capability_80", h100 = "NVIDIA H100 80GB HBM3";

Choice device_candidate(size_t index) {
  return candidates(parse_key(key_text), machine(1, cuda)).at(index);
}

Record device_record(size_t index, const std::string& on = cuda, int batch = 1, const std::string& device = h100) {
  Record r = record(device_candidate(index));
  r.target = machine(1, on).target.to_string();
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
  CHECK(here_machine.target.to_string() == strong.target.to_string());
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

TEST_CASE("a record of a device is judged by the limits of that device") {
  const std::string opencl = "x86-64-linux-avx2-fma-opencl";
  const Machine on = machine(1, opencl), larger = with_limits(on, {1024, 64 * 1024, 16});
  const KernelKey key = parse_key(key_text);
  const std::vector<Choice> all = candidates(key, larger);
  const auto beyond = std::find_if(all.begin(), all.end(), [&](const Choice& c) { return !is_legal(key, c, on); });
  REQUIRE(beyond != all.end());
  Record r = device_record(0, opencl);
  r.choice = *beyond;
  r.strategy_version = strategy_named(r.choice.strategy).version;
  CHECK(!found({{r}}, key_text, on, 1, h100, true));
  r.limits = larger.limits;
  const auto match = found({{r}}, key_text, on, 1, h100);
  REQUIRE(match);
  CHECK(match->choice == *beyond);
  // The other way round: the device is smaller than its kind's least.
  r.choice = default_choice(key, on), r.limits = {32, 4096, 1};
  r.strategy_version = strategy_named(r.choice.strategy).version;
  CHECK(!found({{r}}, key_text, on, 1, h100, true));
}

TEST_CASE("a file of records is called by what it is for") {
  CHECK(record_file_name(machine(), here) == "amd-zen3-avx2.jsonl");
  CHECK(record_file_name(machine(1, cuda), h100) == "nvidia-h100-80gb-hbm3-cuda.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), " Some/GPU (TM) ../9") == "some-gpu-tm-9-opencl.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), "/") == "opencl.jsonl");
  CHECK(record_file_name(machine(1, "host-opencl"), std::string(300, 'x')) == std::string(60, 'x') + "-opencl.jsonl");
}
