// What a schedule must know of the machine that it is for. Derived from the target string alone, so that compiling
// for a machine gives the same code wherever resnetc runs; a device's own limits only say which choices there are.
#pragma once

#include <Halide.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "schedules/device.h"

namespace resnetc {

// What one device can do at most, as its driver says; 0 where it is not known.
struct DeviceLimits {
  int gpu_threads = 0;  // of one block
  int64_t gpu_shared_bytes = 0;
  int gpu_multiprocessors = 0;
  bool operator==(const DeviceLimits&) const = default;
};

struct Machine {
  // Operating system, architecture and instruction set; no calling-convention features. With a device it is that of the
  // code beside its kernels, which is to start on any CPU: SSE4.1.
  Halide::Target target;
  Halide::Target cpu;  // what was asked for, without the device: kernels in a device's place are for this
  int lanes = 4;       // float32 lanes of a vector register
  int registers = 16;  // vector registers
  bool fused_multiply_add = false;
  int64_t level1_bytes = 32 * 1024;
  int64_t level2_bytes = 512 * 1024;
  int largest_winograd = 5;  // the largest m of Winograd's F(m x m, 3 x 3) that may be used; 0: none
  int threads = 1;           // that schedules are chosen for; any number runs one with the same bits
  Device device = Device::cpu;
  int batch = 1;  // images at once, which default choices for devices are made for
  // What every device of the kind can do, so that a program runs on each of them; or, with limits of its own, this one.
  int device_threads = 0;              // of one block
  int device_threads_of_few_sums = 0;  // where each needs few registers
  int64_t device_shared_bytes = 0;
  DeviceLimits limits = {};
};

// The same for the device that has these limits; of those that are not known its kind's count.
Machine with_limits(Machine machine, const DeviceLimits& limits);

// "host" or a Halide target string such as "x86-64-linux-avx2-fma", each also with "-opencl", "-cuda" or
// "-cuda-cuda_capability_86" behind it. Implied features are spelled out. Throws Error for anything but 64-bit x86
// Linux with SSE4.1.
Machine machine_for(const std::string& target, int threads);

// The target as it was asked for: with a device, and the instruction set of the CPU beside it.
Halide::Target full_target(const Machine& machine);

// The CPU beside a device: what was asked for without it.
Machine host_of(const Machine& machine);

// Machine::largest_winograd as --winograd takes it: "off", "f2", "f4", "f5" or "f6". Throws Error for any other text.
std::string winograd_name(int largest);
int parse_winograd(std::string_view name);

// As Halide names it, "avx512_zen4" say; implied features come before it.
std::string strongest_feature(const Halide::Target& target);

// The RN_CPU_* bits of runtime/description.h that the target needs.
uint32_t cpu_feature_bits(const Halide::Target& target);

}  // namespace resnetc
