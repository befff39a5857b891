#include "compiler/tune/whole_net.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "compiler/emit.h"
#include "compiler/process.h"
#include "compiler/tune/machine_lock.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

struct Side {
  fs::path executable;
  std::vector<double> milliseconds;
  std::map<std::string, std::vector<double>> kernels;

  void time(const Machine& machine, const WholeNetOptions& options, double seconds) {
    const MachineLock timing(MachineLock::time);
    if (machine.device != Device::cpu) {
      // With a clock behind each kernel a device would wait for the host between them. The other half of the time is
      // for runs that move inputs and outputs too.
      const CommandResult ran =
          run_command({{executable.string(), "--benchmark", fmt::format("{:.2f}", seconds / 2), "--json", "--device",
                        std::to_string(options.device), "--batch", std::to_string(options.batch)},
                       options.folder,
                       60 + 20 * seconds});
      milliseconds.push_back(nlohmann::json::parse(ran.output).at("kernels_ms"));
      return;
    }
    const CommandResult ran =
        run_command({{executable.string(), "--profile", fmt::format("{:.2f}", seconds), "--json", "--threads",
                      std::to_string(options.threads), "--batch", std::to_string(options.batch)},
                     options.folder,
                     60 + 20 * seconds});
    const auto json = nlohmann::json::parse(ran.output);
    milliseconds.push_back(json.at("inference_ms"));
    for (const auto& kernel : json.at("kernels"))
      kernels[kernel.at("key").get<std::string>()].push_back(kernel.at("ms"));
  }

  // Each value is a median over a round; of the rounds, the least: what disturbs a whole round only adds to it.
  NetTimes times() const {
    const auto least = [](const std::vector<double>& values) {
      return *std::min_element(values.begin(), values.end());
    };
    NetTimes result{least(milliseconds), {}};
    for (const auto& [key, values] : kernels) result.kernel[key] = least(values);
    return result;
  }
};

}  // namespace

NetComparison compare_nets(const Model& model, const Program& before, const Program& after, const Machine& machine,
                           const WholeNetOptions& options) {
  Side sides[2];
  const Program* programs[] = {&before, &after};
  for (int i = 0; i < 2; i++) {
    EmitOptions emit_options;
    emit_options.output = options.folder / (i == 0 ? "before" : "after");
    emit_options.cache = options.cache;
    emit_options.target = options.target;
    emit_options.kinds = {"exe"};
    emit_options.jobs = options.jobs;
    const MachineLock compiling(MachineLock::compile);
    emit(model, *programs[i], machine, emit_options, {});
    sides[i].executable = emit_options.output / model.name;
  }
  // Each run measures the machine's peak too, or starts a driver, some 0.5 s.
  const int rounds = std::clamp(static_cast<int>(options.seconds / 3), 3, 9);
  const double each = std::max(options.seconds / rounds / 2 - 0.8, 0.3);
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < 2; i++) sides[(round + i) % 2].time(machine, options, each);
  std::error_code ignored;
  for (const Side& side : sides) fs::remove_all(side.executable.parent_path(), ignored);
  return {sides[0].times(), sides[1].times()};
}

}  // namespace resnetc
