// One kernel to one object file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "schedules/strategy.h"

namespace resnetc {

// Bump when the meaning of a cached object changes though its pipeline does not (calling convention, runtime hooks).
inline constexpr int object_format = 3;

struct CompiledKernel {
  uint64_t scratch_bytes = 0;  // the most that one thread can have of halide_malloc at once
  bool from_cache = false;
};

// The kernel's name as a symbol: its key, with "_on_device" behind it if it is for a device.
std::string kernel_symbol(const KernelKey& key, Device device);

// Writes the object, whose only entry is the kernel's symbol + "_argv" (and its plain form), to `object`. `cache`: a
// folder of objects named by the SHA-256 of the serialised pipeline, target and Halide version, or empty for none.
// Deterministic: call it in a process that has built no pipeline before, as Halide numbers names through a process.
CompiledKernel compile_kernel(const KernelKey& key, const Choice& choice, const Machine& machine,
                              const std::filesystem::path& object, const std::filesystem::path& cache);

// Halide's own runtime for the machine's device, without which its kernels do not run.
void compile_device_runtime(const Machine& machine, const std::filesystem::path& object);

}  // namespace resnetc
