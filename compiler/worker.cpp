#include "compiler/worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "compiler/emit.h"
#include "compiler/process.h"
#include "compiler/tune/device.h"
#include "compiler/tune/time_kernels.h"
#include "schedules/compile_kernel.h"

namespace resnetc {
namespace {

// Ends with resnetc, which may have been killed before the kernel was asked to say so: then another is the parent.
void end_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* parent = std::getenv(parent_variable);
  if (parent && parent != std::to_string(getppid())) raise(SIGKILL);
}

// It ends with resnetc, and at so much memory.
void confine([[maybe_unused]] uint64_t gib) {
  end_with_parent();
#ifndef __SANITIZE_ADDRESS__  // whose shadow alone takes terabytes of address space
  const rlimit memory = {gib << 30, gib << 30};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

// A driver reserves address space for all the memory of all devices, and what its threads and libraries do when a
// process ends is no concern of ours.
[[noreturn]] void end_with_driver(int status) {
  std::fflush(stdout);
  _exit(status);
}

int compile_one_kernel(char** argv) try {
  confine(8);
  const CompiledKernel kernel = compile_kernel(parse_key(argv[0]), parse_choice(argv[1]),
                                               machine_for(argv[2], std::stoi(argv[3])), argv[4], argv[5]);
  fmt::print("{}\n", nlohmann::json{{"scratch_bytes", kernel.scratch_bytes}, {"from_cache", kernel.from_cache}}.dump());
  return 0;
} catch (const Halide::Error& error) {  // which prints nothing of itself when it ends a program
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}

}  // namespace

std::optional<int> run_worker(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (argc == 8 && command == compile_kernel_command) return compile_one_kernel(argv + 2);
  if (argc == 4 && command == compile_runtime_command)
    return confine(8), compile_device_runtime(machine_for(argv[2], 1), argv[3]), 0;
  if (argc == 3 && command == time_kernels_command) return confine(16), time_kernels(argv[2]);
  if (argc == 3 && command == time_on_device_command) {
    end_with_parent();
    end_with_driver(time_kernels(argv[2]));
  }
  if (argc == 4 && command == list_devices_command) {
    end_with_parent();
    end_with_driver(print_device_list(argv[2], argv[3]));
  }
  if (argc == 6 && command == describe_device_command) {
    end_with_parent();
    end_with_driver(print_device(argv[2], argv[3], std::stoi(argv[4]), argv[5]));
  }
  return std::nullopt;
}

}  // namespace resnetc
