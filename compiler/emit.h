// The back end: kernels to objects in child processes, then driver, weights and runtime linked into what was asked for.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "compiler/model.h"
#include "compiler/program.h"

namespace resnetc {

struct EmitOptions {
  std::filesystem::path output;  // a folder
  std::filesystem::path cache;   // of kernel objects; empty: none
  std::string target;            // as the user gave it, for the child processes
  std::set<std::string> kinds;   // of emit_kinds
  int jobs = 1;
};

inline constexpr const char* emit_kinds[] = {"exe", "static", "shared", "header", "ir", "driver"};

// What this process is started as for each kernel, before key, choice, target, threads, object and cache.
inline constexpr const char* compile_kernel_command = "compile-kernel";

// Writes DIR/NAME, libNAME.a, libNAME.so, NAME.h, NAME.ir, NAME.c as asked for, and report.json; all or nothing.
// `seconds`: of the stages so far, for the report. Throws Error.
void emit(const Model& model, Program program, const Machine& machine, const EmitOptions& options,
          std::map<std::string, double> seconds);

}  // namespace resnetc
