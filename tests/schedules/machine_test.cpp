#include "schedules/machine.h"

#include <doctest/doctest.h>

#include "runtime/description.h"

using namespace resnetc;

TEST_CASE("machine: what a target needs, as the runtime's own bits") {
  struct Case {
    const char* target;
    uint32_t bits;
    int lanes;
  };
  const uint32_t avx = rn_cpu_sse41 | rn_cpu_avx, avx2 = avx | rn_cpu_f16c | rn_cpu_fma | rn_cpu_avx2;
  const uint32_t skylake = avx2 | rn_cpu_avx512 | rn_cpu_avx512_skylake;
  const uint32_t zen4 = skylake | rn_cpu_avx512_cannonlake | rn_cpu_avx512_zen4;
  const Case cases[] = {{"x86-64-linux-sse41", rn_cpu_sse41, 4},
                        {"x86-64-linux-avx", avx, 8},
                        {"x86-64-linux-fma", avx | rn_cpu_fma, 8},
                        {"x86-64-linux-avx2", avx | rn_cpu_avx2, 8},
                        {"x86-64-linux-avx2-fma-f16c", avx2, 8},
                        {"x86-64-linux-avx512", avx2 | rn_cpu_avx512, 16},
                        {"x86-64-linux-avx512_skylake", skylake, 16},
                        {"x86-64-linux-avx512_cannonlake", skylake | rn_cpu_avx512_cannonlake, 16},
                        {"x86-64-linux-avx512_zen4", zen4, 16},
                        {"x86-64-linux-avx512_zen5", zen4 | rn_cpu_avx512_zen5, 16}};
  for (const Case& c : cases) {
    CAPTURE(c.target);
    const Machine machine = machine_for(c.target, 1);
    CHECK(cpu_feature_bits(machine.target) == c.bits);
    CHECK(machine.lanes == c.lanes);
  }
}

TEST_CASE("machine: what runs beside a device runs on any CPU; what runs in its place asks for what the target says") {
  for (const char* device : {"opencl", "cuda", "cuda-cuda_capability_86"}) {
    const std::string cpu = "x86-64-linux-avx512_zen4", target = cpu + "-" + device;
    CAPTURE(target);
    const Machine machine = machine_for(target, 1), host = host_of(machine);
    CHECK(cpu_feature_bits(machine.target) == rn_cpu_sse41);
    CHECK(machine.target == machine_for(std::string("x86-64-linux-sse41-") + device, 1).target);
    CHECK(host.target == machine_for(cpu, 1).target);
    CHECK(host.lanes == 16);
    CHECK(cpu_feature_bits(full_target(machine)) == cpu_feature_bits(host.target));
    CHECK(machine_for(full_target(machine).to_string(), 1).target == machine.target);
    CHECK(cpu_feature_bits(machine_for(std::string("host-") + device, 1).target) == rn_cpu_sse41);
  }
}

TEST_CASE("machine: a device's own limits, and its kind's where they are not known") {
  const Machine opencl = machine_for("x86-64-linux-sse41-opencl", 1), cuda = machine_for("x86-64-linux-sse41-cuda", 1);
  CHECK(opencl.device_threads == 256);
  CHECK(opencl.device_shared_bytes == 32 * 1024);
  CHECK(with_limits(opencl, {512, 64 * 1024, 8}).device_threads == 512);
  CHECK(with_limits(opencl, {512, 64 * 1024, 8}).device_shared_bytes == 64 * 1024);
  CHECK(with_limits(opencl, {64, 0, 0}).device_threads == 64);
  CHECK(with_limits(opencl, {64, 0, 0}).device_threads_of_few_sums == 64);
  CHECK(cuda.device_threads_of_few_sums == 512);
  CHECK(with_limits(cuda, {384, 0, 0}).device_threads_of_few_sums == 384);
  CHECK(with_limits(opencl, {64, 0, 0}).device_shared_bytes == 32 * 1024);
  CHECK(with_limits(cuda, {1024, 48 * 1024, 132}).device_threads == cuda.device_threads);
  CHECK(with_limits(with_limits(opencl, {512, 1 << 16, 8}), {}).device_threads == 256);
}
