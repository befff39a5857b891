#include "compiler/toolchain.h"

#include <fmt/format.h>

#include "ir/graph.h"

namespace resnetc {

namespace fs = std::filesystem;

fs::path own_path() {
  std::error_code error;
  fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) throw Error("/proc/self/exe: cannot read; is /proc mounted?");
  return path;
}

fs::path runtime_folder() {
  const fs::path folder = own_path().parent_path();
  for (const fs::path& candidate : {folder / "lib" / "resnetc", folder.parent_path() / "lib" / "resnetc"})
    if (fs::exists(candidate / "libresnetc_runtime.a")) return candidate;
  throw Error(fmt::format("{}: libresnetc_runtime.a is not there; build or install resnetc again",
                          (folder / "lib" / "resnetc").string()));
}

fs::path shipped_records_folder() {
  return runtime_folder() / "tuned";
}

namespace {

Command command(const fs::path& folder, std::vector<std::string> argv, const std::vector<std::string>& more = {}) {
  argv.insert(argv.end(), more.begin(), more.end());
  return {std::move(argv), folder};
}

std::string runtime_file(const char* name) {
  return (runtime_folder() / name).string();
}

}  // namespace

Command Toolchain::compile_driver() const {
  return command(folder, {"cc", "-std=c11", "-O1", "-fPIC", "-ffunction-sections", "-I", runtime_folder() / "include",
                          "-c", "driver.c", "-o", "driver.o"});
}

Command Toolchain::adapt_device_runtime() const {
  std::vector<std::string> argv{"objcopy", "--redefine-sym", "getenv=rn_device_getenv"};
  for (const char* api : {"opencl", "cuda"})
    argv.insert(argv.end(), {"--redefine-sym", fmt::format("halide_{0}_run=rn_{0}_run", api)});
  argv.push_back(device_runtime);
  return command(folder, argv);
}

// A static program cannot load a driver; one that needs no library but libc starts wherever libc is.
Command Toolchain::link_executable() const {
  if (!device_runtime.empty()) {
    Command result = command(
        folder,
        {"c++", "-no-pie", "-static-libgcc", "-static-libstdc++", "-o", model, "driver.o", "weights.o", device_runtime},
        kernels);
    for (const char* argument : {"-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,-z,noexecstack"})
      result.argv.emplace_back(argument);
    for (const char* archive : {"libresnetc_program.a", device_archive.c_str(), "libresnetc_runtime.a"})
      result.argv.push_back(runtime_file(archive));
    for (const char* library : {"-Wl,-Bstatic", "-ljpeg", "-lpng16", "-lz", "-Wl,-Bdynamic", "-lm", "-pthread"})
      result.argv.emplace_back(library);
    return result;
  }
  Command result = command(folder, {"c++", "-static", "-o", model, "driver.o", "weights.o"}, kernels);
  for (const char* argument : {"-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,-z,noexecstack"})
    result.argv.emplace_back(argument);
  for (const char* archive : {"libresnetc_program.a", "libresnetc_runtime.a"})
    result.argv.push_back(runtime_file(archive));
  for (const char* library : {"-ljpeg", "-lpng16", "-lz", "-lm", "-pthread"}) result.argv.emplace_back(library);
  return result;
}

// Without --force-group-allocation the COMDAT groups of two models would collide when both are linked into one program.
Command Toolchain::join_code() const {
  Command result = command(folder, {"ld", "-r", "--force-group-allocation", "-o", "code.o", "driver.o"}, kernels);
  if (!device_runtime.empty()) result.argv.push_back(device_runtime);
  for (const std::string& argument : {std::string("--whole-archive"), runtime_file("libresnetc_runtime.a")})
    result.argv.push_back(argument);
  // Of it only what the driver asks for.
  if (!device_archive.empty())
    for (const std::string& argument : {std::string("--no-whole-archive"), runtime_file(device_archive.c_str())})
      result.argv.push_back(argument);
  return result;
}

// Symbolic: another library of the process may have a Halide runtime of its own.
Command Toolchain::link_kernel_device() const {
  return command(folder, {"cc", "-shared", "-o", kernel_device_file, device_runtime, "-Wl,--whole-archive",
                          runtime_file(device_archive.c_str()), runtime_file("libresnetc_runtime.a"),
                          "-Wl,--no-whole-archive", fmt::format("-Wl,-soname,{}", kernel_device_file), "-Wl,-Bsymbolic",
                          "-Wl,-z,defs", "-Wl,-z,noexecstack", "-pthread", "-lm"});
}

const char* device_symbol(Device device) {
  return device == Device::cuda ? "rn_cuda" : "rn_opencl";
}

std::string device_archive_of(Device device) {
  return device == Device::cpu ? "" : device == Device::cuda ? "libresnetc_cuda.a" : "libresnetc_opencl.a";
}

Command Toolchain::localise_symbols() const {
  std::vector<std::string> argv{"objcopy"};
  for (const char* function : {"create", "run", "run_image", "message", "destroy", "label"})
    argv.push_back(fmt::format("--keep-global-symbol={}_{}", prefix, function));
  argv.emplace_back("code.o");
  return command(folder, argv);
}

Command Toolchain::archive() const {
  return command(folder, {"ar", "rcsD", "lib" + model + ".a", "code.o", "weights.o"});
}

Command Toolchain::link_shared() const {
  return command(folder, {"cc", "-shared", "-o", "lib" + model + ".so", "code.o", "weights.o",
                          "-Wl,-soname,lib" + model + ".so", "-Wl,--version-script=exports.map", "-Wl,--build-id=none",
                          "-Wl,-z,defs", "-Wl,-z,noexecstack", "-pthread", "-lm"});
}

}  // namespace resnetc
