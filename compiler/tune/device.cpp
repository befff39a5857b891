#include "compiler/tune/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/emit.h"
#include "compiler/message.h"
#include "compiler/process.h"
#include "compiler/toolchain.h"
#include "runtime/device/kernels.h"

namespace resnetc {

namespace fs = std::filesystem;

fs::path make_kernel_device(const Machine& machine, const std::string& target, const fs::path& folder) {
  Toolchain tools;
  tools.folder = folder;
  tools.device_runtime = "device_runtime.o";
  tools.device_archive = device_archive_of(machine.device);
  run_command({{own_path().string(), compile_runtime_command, target, tools.device_runtime}, folder});
  run_command(tools.adapt_device_runtime());
  run_command(tools.link_kernel_device());
  return folder / kernel_device_file;
}

DeviceDescription describe_device(const fs::path& library, const Machine& machine, int index) {
  const Command command{{own_path().string(), describe_device_command, library.string(), device_symbol(machine.device),
                         std::to_string(index), machine.target.to_string()},
                        {},
                        60};
  const CommandResult result = run_commands({command}, 1).front();
  const auto json = nlohmann::json::parse(result.output, nullptr, false);
  if (result.status != 0 || !json.is_object()) throw Error(describe_failure(command, result));
  if (json.contains("problem")) throw Error(json.at("problem").get<std::string>());
  return {json.at("name"),
          json.at("memory_bytes"),
          json.at("cache_bytes"),
          json.at("peak_gflops"),
          {json.at("gpu_threads"), json.at("gpu_shared_bytes"), json.at("gpu_multiprocessors")}};
}

std::string list_devices(const fs::path& library, const Machine& machine) {
  return run_command(
             {{own_path().string(), list_devices_command, library.string(), device_symbol(machine.device)}, {}, 60})
      .output;
}

int print_device_list(const char* library, const char* api) {
  void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  const auto* device = loaded ? static_cast<const rn_device*>(dlsym(loaded, api)) : nullptr;
  if (!device) throw Error(fmt::format("{}: {}", library, dlerror()));
  char text[512] = "";
  const int count = device->count(text, sizeof text);
  if (count < 0) fmt::print("none: {}\n", text);
  for (int i = 0; i < count; i++) {
    device->describe(i, text, sizeof text);
    fmt::print("{}  {}\n", i, text);
  }
  return 0;
}

int print_device(const char* library, const char* api, int index, const char* target) {
  void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  const auto* device = loaded ? static_cast<const rn_device*>(dlsym(loaded, api)) : nullptr;
  const auto* kernels = device ? static_cast<const runtime::KernelDevice*>(dlsym(loaded, "rn_kernel_device")) : nullptr;
  if (!kernels) throw Error(fmt::format("{}: {}", library, dlerror()));
  char problem[512] = "";
  rn_device_peak peak = {};
  nlohmann::json answer;
  runtime::Session* session = kernels->open(device, index, 0, problem, sizeof problem);
  if (session && kernels->check(session, target, problem, sizeof problem) == 0 &&
      kernels->measure(session, &peak, problem, sizeof problem) == 0) {
    const runtime::DeviceInfo& info = *kernels->info(session);
    constexpr unsigned long long most = 1 << 30;  // that a record takes
    answer = {{"name", peak.name},
              {"memory_bytes", info.memory_bytes},
              {"cache_bytes", peak.cache_bytes},
              {"peak_gflops", peak.flops * 1e-9},
              {"gpu_threads", std::min(info.threads, most)},
              {"gpu_shared_bytes", std::min(info.shared_bytes, most)},
              {"gpu_multiprocessors", std::min<unsigned long long>(info.units, most)}};
  } else {
    answer["problem"] = problem;
  }
  if (session) kernels->close(session);
  fmt::print("{}\n", answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

}  // namespace resnetc
