#include "compiler/tune/whole_net.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "compiler/clock.h"
#include "compiler/emit.h"
#include "compiler/process.h"
#include "compiler/tune/machine_lock.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

struct Side {
  fs::path executable;
  std::vector<NetTimes> rounds;

  // Of a device's net, whose kernels are right alone: one behind the other, on memory that they share, they may not be.
  void check(const WholeNetOptions& options, double limit) const {
    const Command command{{executable.string(), "--self-test", "--device", std::to_string(options.device), "--batch",
                           std::to_string(options.batch)},
                          options.folder,
                          limit};
    const CommandResult ran = run_commands({command}, 1).front();
    if (ran.timed_out) throw TimedOut(describe_failure(command, ran));
    if (ran.status != 0 && ran.output.empty()) throw Error(describe_failure(command, ran));
    if (ran.status != 0)
      throw Error(fmt::format("its kernels are right alone and wrong together: {}",
                              ran.output.substr(0, ran.output.find('\n'))));
  }

  void time(const Machine& machine, const WholeNetOptions& options, double seconds, double limit) {
    if (machine.device != Device::cpu) {
      // With a clock behind each kernel a device would wait for the host between them. The other half of the time is
      // for runs that move inputs and outputs too.
      const CommandResult ran =
          run_command({{executable.string(), "--benchmark", fmt::format("{:.2f}", seconds / 2), "--json", "--device",
                        std::to_string(options.device), "--batch", std::to_string(options.batch)},
                       options.folder,
                       limit});
      rounds.push_back({nlohmann::json::parse(ran.output).at("kernels_ms"), {}, {}});
      return;
    }
    const CommandResult ran =
        run_command({{executable.string(), "--profile", fmt::format("{:.2f}", seconds), "--json", "--threads",
                      std::to_string(options.threads), "--batch", std::to_string(options.batch)},
                     options.folder,
                     limit});
    const auto json = nlohmann::json::parse(ran.output);
    rounds.push_back({json.at("inference_ms"), {}, {}});
    for (const auto& kernel : json.at("kernels"))
      rounds.back().kernel[kernel.at("key").get<std::string>()] = kernel.at("ms");
  }

  // Each value is a median over a round; of the rounds, the least: what disturbs a whole round only adds to it.
  NetTimes times() const {
    NetTimes result = rounds.front();
    for (const NetTimes& round : rounds) {
      result.milliseconds = std::min(result.milliseconds, round.milliseconds);
      for (auto& [key, ms] : result.kernel) ms = std::min(ms, round.kernel.at(key));
    }
    result.rounds = rounds;
    return result;
  }
};

bool same_kernels(const Program& a, const Program& b) {
  return std::equal(a.kernels.begin(), a.kernels.end(), b.kernels.begin(), b.kernels.end(),
                    [](const Kernel& x, const Kernel& y) { return x.key == y.key && x.choice == y.choice; });
}

void emit_side(Side& side, const Model& model, const Program& program, const Machine& machine,
               const WholeNetOptions& options, const fs::path& folder, double limit_s) {
  EmitOptions emit_options;
  emit_options.output = folder;
  emit_options.cache = options.cache;
  emit_options.target = options.target;
  emit_options.kinds = {"exe"};
  emit_options.jobs = options.jobs;
  emit_options.limit_s = std::max(limit_s, 0.0);
  emit(model, program, machine, emit_options, {});
  side.executable = folder / model.name;
}

}  // namespace

Ratio ratio_of(const NetTimes& a, const NetTimes& b, const std::string& kernel) {
  const auto times = [&](const NetTimes& of) {
    std::vector<double> result;
    const auto add = [&](const NetTimes& round) {
      if (kernel.empty())
        result.push_back(round.milliseconds);
      else if (const auto found = round.kernel.find(kernel); found != round.kernel.end())
        result.push_back(found->second);
    };
    std::for_each(of.rounds.begin(), of.rounds.end(), add);
    return result;
  };
  const std::vector<double> of_a = times(a), of_b = times(b);
  return of_a.empty() || of_a.size() != of_b.size() ? Ratio{1, 0} : median_ratio(of_a, of_b);
}

bool is_decided(const Ratio& r) {
  return std::abs(r.ratio - 1) > r.noise || r.noise < 0.003;
}

std::string reservation(const NetComparison& c) {
  std::string text;
  if (c.replaced > 0) text += fmt::format("; reckoned, for {} of its choices were dropped since", c.replaced);
  if (c.outdated > 0) text += fmt::format("; without {} choices that another tuner wrote since", c.outdated);
  return text;
}

std::vector<NetTimes> compare_nets(const Model& model, const std::vector<Program>& programs, const Machine& machine,
                                   const WholeNetOptions& options) {
  const Clock::time_point start = Clock::now();
  const auto left = [&] { return options.left - seconds_since(start); };
  std::vector<Side> sides;
  std::vector<size_t> side_of;
  for (size_t i = 0; i < programs.size(); i++) {
    const auto same = std::find_if(programs.begin(), programs.begin() + static_cast<std::ptrdiff_t>(i),
                                   [&](const Program& earlier) { return same_kernels(earlier, programs[i]); });
    const auto first = static_cast<size_t>(same - programs.begin());
    side_of.push_back(first < i ? side_of[first] : sides.size());
    if (first < i) continue;
    sides.emplace_back();
    const MachineLock compiling(MachineLock::compile, left());
    emit_side(sides.back(), model, programs[i], machine, options, options.folder / std::to_string(i), left());
  }

  constexpr int least_rounds = 2;
  constexpr int most_rounds = 50;
  constexpr double most_seconds = 20;  // of the usual rounds
  const auto count = static_cast<double>(sides.size());
  const double rest = std::clamp(options.seconds - seconds_since(start), 0.0, most_seconds);
  const int rounds = std::clamp(static_cast<int>(rest / 1.5 / count), least_rounds, 9);
  // Each run measures the machine's peak too, or starts a driver, some 0.7 s.
  const double each = std::max(rest / rounds / count - 0.8, 0.1);
  // Programs that hung would else use up the budget. At least some seconds, for large nets are slow to start.
  const auto limit = [&] { return std::clamp(left() / 2, 10 + 3 * each, 60 + 20 * each); };
  const auto times = [&] {
    std::vector<NetTimes> result;
    for (const size_t side : side_of) result.push_back(sides[side].times());
    return result;
  };
  for (const Side& side : sides) {
    if (machine.device == Device::cpu) break;
    const MachineLock timing(MachineLock::time, left());
    side.check(options, limit());
  }
  double longest = 0;
  for (int round = 0; round < most_rounds; round++) {
    if (round >= least_rounds && seconds_since(start) + longest > options.seconds) break;
    if (round >= rounds && (!options.decided || options.decided(times()))) break;
    const Clock::time_point round_start = Clock::now();
    if (options.begins_round) options.begins_round(round + 1);
    try {
      for (size_t i = 0; i < sides.size(); i++) {
        const MachineLock timing(MachineLock::time, left());
        sides[(static_cast<size_t>(round) + i) % sides.size()].time(machine, options, each, limit());
      }
    } catch (const MachineIsBusy&) {
      if (round < least_rounds) throw;
      // The complete rounds count, and no side has others.
      for (Side& side : sides) side.rounds.resize(static_cast<size_t>(round));
      break;
    }
    longest = std::max(longest, seconds_since(round_start));
  }
  std::error_code ignored;
  for (const Side& side : sides) fs::remove_all(side.executable.parent_path(), ignored);
  return times();
}

}  // namespace resnetc
