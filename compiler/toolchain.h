// Where the pieces lie that emitted binaries are linked from, and the commands that link them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compiler/process.h"
#include "schedules/machine.h"

namespace resnetc {

// This executable.
std::filesystem::path own_path();

// The folder with libresnetc_runtime.a, libresnetc_program.a and the headers of drivers: lib/resnetc beside this
// executable (build tree) or beside its folder (installed tree). Throws Error if it is not there.
std::filesystem::path runtime_folder();

// The records that came with resnetc, a folder beside the runtime. May not be there.
std::filesystem::path shipped_records_folder();

// What kernels need to run one by one on a device, see runtime/device/kernels.h.
inline constexpr const char* kernel_device_file = "kernel_device.so";

// Our runtime for a device, a file beside the runtime; "" for the CPU.
std::string device_archive_of(Device device);

// What runtime/device.h calls it.
const char* device_symbol(Device device);

// Commands that run in `folder` and name only files there. `kernels`: objects of the kernels.
struct Toolchain {
  std::filesystem::path folder;
  std::string model;   // file names and the library's soname
  std::string prefix;  // of the library's global symbols
  std::vector<std::string> kernels;
  std::string device_runtime = {};  // an object, Halide's runtime, where kernels run on a device; or ""
  std::string device_archive = {};  // device_archive_of

  Command compile_driver() const;        // driver.c -> driver.o
  Command adapt_device_runtime() const;  // asks us for environment variables and to run kernels
  Command link_executable() const;       // -> NAME, static; with a device dynamic against libc
  Command join_code() const;             // driver, kernels, runtime -> code.o
  Command localise_symbols() const;      // code.o: only PREFIX_* stay global
  Command archive() const;               // code.o, weights.o -> libNAME.a
  Command link_shared() const;           // code.o, weights.o -> libNAME.so; reads exports.map
  Command link_kernel_device() const;    // -> kernel_device_file
};

}  // namespace resnetc
