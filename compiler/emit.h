// The back end: kernels to objects in child processes, then driver, weights and runtime linked into what was asked for.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "compiler/model.h"
#include "compiler/process.h"
#include "compiler/program.h"

namespace resnetc {

struct EmitOptions {
  std::filesystem::path output;  // a folder
  std::filesystem::path cache;   // of kernel objects; empty: none
  std::string target;            // as the user gave it, for the child processes
  std::set<std::string> kinds;   // of emit_kinds
  bool fallback = false;         // of a target for a device: kernels for the CPU too, for where there is no device
  int jobs = 1;
  double limit_s = std::numeric_limits<double>::infinity();  // of compiling all kernels; Error when it is over
};

inline constexpr const char* emit_kinds[] = {"exe", "static", "shared", "header", "ir", "driver"};

// What this process is started as for each kernel, before key, choice, target, threads, object and cache.
inline constexpr const char* compile_kernel_command = "compile-kernel";

// The same for Halide's own runtime, which kernels on a device need, before target and object.
inline constexpr const char* compile_runtime_command = "compile-runtime";

// The command that compiles one kernel to `object`, a file name in `folder`, in a process of resnetc's own. Its answer
// is JSON: scratch_bytes, from_cache.
Command kernel_command(const KernelKey& key, const Choice& choice, const std::string& target, int threads,
                       const std::filesystem::path& folder, const std::string& object,
                       const std::filesystem::path& cache);

// Writes DIR/NAME, libNAME.a, libNAME.so, NAME.h, NAME.ir, NAME.c as asked for, and report.json; all or nothing.
// `seconds`: of the stages so far, for the report. Of weights as bf16 it returns how far the self-test's outputs lie
// from those with f32 at most, as a part of the largest of these. Throws Error.
std::optional<double> emit(const Model& model, Program program, const Machine& machine, const EmitOptions& options,
                           std::map<std::string, double> seconds);

}  // namespace resnetc
