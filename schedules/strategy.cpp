#include "schedules/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>

#include "schedules/gpu.h"

namespace resnetc {

namespace {

const int* find_parameter(const Choice& choice, std::string_view name) {
  for (const auto& [key, value] : choice.parameters)
    if (key == name) return &value;
  return nullptr;
}

}  // namespace

int Choice::operator[](std::string_view name) const {
  if (const int* value = find_parameter(*this, name)) return *value;
  throw std::logic_error(fmt::format("strategy {} has no parameter {}", strategy, name));
}

int Choice::value_or(std::string_view name, int absent) const {
  const int* value = find_parameter(*this, name);
  return value ? *value : absent;
}

std::string to_string(const Choice& choice) {
  std::string result = choice.strategy;
  for (const auto& [name, value] : choice.parameters) result += fmt::format(" {}={}", name, value);
  return result;
}

Choice parse_choice(std::string_view text) {
  Choice choice;
  const size_t end = std::min(text.find(' '), text.size());
  choice.strategy = text.substr(0, end);
  std::string_view rest = text.substr(end);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t equals = rest.find('='), last = std::min(rest.find(' '), rest.size());
    int value = 0;
    if (equals > last || std::from_chars(rest.data() + equals + 1, rest.data() + last, value).ptr != rest.data() + last)
      throw Error(fmt::format("'{}' is not a strategy with its parameters", text));
    choice.parameters.emplace_back(rest.substr(0, equals), value);
    rest.remove_prefix(last);
  }
  return choice;
}

std::span<const Strategy* const> strategies() {
  static constexpr const Strategy* all[] = {&conv2d_grouped,
                                            &conv2d_interleaved,
                                            &conv2d_direct,
                                            &conv2d_winograd,
                                            &conv2d_winograd_stride2,
                                            &conv2d_max_pool,
                                            &dense,
                                            &max_pool,
                                            &average_pool,
                                            &layout,
                                            &global_average_pool,
                                            &elementwise};
  return all;
}

std::span<const Strategy* const> device_strategies() {
  static constexpr const Strategy* all[] = {
      &gpu_conv2d_gemm, &gpu_conv2d_direct, &gpu_conv2d_winograd, &gpu_conv2d_grouped, &gpu_conv2d_max_pool,
      &gpu_dense,       &gpu_max_pool,      &gpu_average_pool,    &gpu_layout,         &gpu_global_average_pool,
      &gpu_elementwise};
  return all;
}

std::span<const Strategy* const> baselines() {
  static constexpr const Strategy* all[] = {&halide_mullapudi2016, &halide_adams2019, &halide_li2018,
                                            &halide_anderson2021};
  return all;
}

bool is_baseline(std::string_view strategy) {
  return std::any_of(baselines().begin(), baselines().end(), [&](const Strategy* s) { return s->name == strategy; });
}

const Strategy* find_strategy(std::string_view name) {
  for (const auto& list : {strategies(), device_strategies(), baselines()})
    for (const Strategy* strategy : list)
      if (strategy->name == name) return strategy;
  return nullptr;
}

const Strategy& strategy_named(std::string_view name) {
  if (const Strategy* strategy = find_strategy(name)) return *strategy;
  throw Error(fmt::format("there is no strategy '{}'", name));
}

std::vector<Choice> candidates(const KernelKey& key, const Machine& machine) {
  std::vector<std::vector<Choice>> each;
  const bool on_device = machine.device != Device::cpu, all_f32 = reads_f32(key);
  for (const Strategy* strategy : on_device ? device_strategies() : strategies()) {
    if (!strategy->applies(key, machine) || (on_device && !all_f32)) continue;
    std::vector<Choice> choices = strategy->candidates(key, machine);
    if (!choices.empty()) each.push_back(std::move(choices));
  }
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (each.empty() && on_device && conv && projection_of(*conv))
    throw Error(fmt::format("{}: devices have no kernel for project; make the shortcut a convolution of its own",
                            to_string(key)));
  if (each.empty() && on_device && conv && conv->interleave > 1)
    throw Error(fmt::format("{}: devices have no kernel for interleave; let the channels of a group follow each other",
                            to_string(key)));
  if (each.empty()) throw Error(fmt::format("no strategy runs {}", to_string(key)));
  std::stable_sort(each.begin(), each.end(), [&](const std::vector<Choice>& a, const std::vector<Choice>& b) {
    return estimated_cycles(key, a.front(), machine) < estimated_cycles(key, b.front(), machine);
  });
  std::vector<Choice> all;
  for (std::vector<Choice>& choices : each) std::move(choices.begin(), choices.end(), std::back_inserter(all));
  return all;
}

std::vector<Choice> ranked(const std::vector<Choice>& choices, const KernelKey& key, const Machine& machine,
                           double (*cycles)(const KernelKey&, const Choice&, const Machine&)) {
  std::vector<std::pair<double, const Choice*>> estimates;
  for (const Choice& choice : choices) estimates.emplace_back(cycles(key, choice, machine), &choice);
  std::stable_sort(estimates.begin(), estimates.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Choice> result;
  for (auto group = estimates.begin(); group != estimates.end();) {
    // Equal choices have equal estimates.
    const auto end = std::find_if(group, estimates.end(), [&](const auto& e) { return e.first != group->first; });
    const auto first = static_cast<std::ptrdiff_t>(result.size());
    for (; group != end; group++)
      if (std::find(result.begin() + first, result.end(), *group->second) == result.end())
        result.push_back(*group->second);
  }
  return result;
}

std::vector<Choice> few_of_each_kind(const std::vector<Choice>& choices,
                                     const std::function<std::vector<int>(const Choice&)>& kind) {
  std::map<std::vector<int>, int> kinds;
  std::vector<Choice> result;
  for (const Choice& choice : choices)
    if (kinds[kind(choice)]++ < 3) result.push_back(choice);
  return result;
}

bool is_legal(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const bool on_device = machine.device != Device::cpu;
  if (on_device && !reads_f32(key)) return false;
  for (const Strategy* strategy : on_device ? device_strategies() : strategies()) {
    if (strategy->name != choice.strategy) continue;
    if (!strategy->applies(key, machine)) return false;
    if (strategy->legal) return strategy->legal(key, choice, machine);
    const std::vector<Choice> all = strategy->candidates(key, machine);
    return std::find(all.begin(), all.end(), choice) != all.end();
  }
  return false;
}

bool has_parameters(const Choice& choice, std::initializer_list<ParameterRange> ranges) {
  auto parameter = choice.parameters.begin();
  for (const ParameterRange& range : ranges) {
    const bool named = parameter != choice.parameters.end() && parameter->first == range.name;
    if (!named && range.optional) continue;
    if (!named || parameter->second < range.least || range.most < parameter->second) return false;
    ++parameter;
  }
  return parameter == choice.parameters.end();
}

Choice default_choice(const KernelKey& key, const Machine& machine) {
  return candidates(key, machine).front();
}

Choice fallback_choice(const KernelKey& key, const Machine& cpu) {
  // Winograd has weights of its own, and grouped convolution.
  constexpr std::string_view blocked[] = {"conv2d_direct", "conv2d_max_pool", "dense"};
  const auto applying = std::find_if(std::begin(blocked), std::end(blocked),
                                     [&](std::string_view name) { return strategy_named(name).applies(key, cpu); });
  if (applying == std::end(blocked)) return default_choice(key, cpu);
  Choice choice = strategy_named(*applying).candidates(key, cpu).front();
  const int vectors = gpu_block_channels / cpu.lanes, most_pixels = (cpu.registers - 4) / vectors - 1;
  for (auto& [name, value] : choice.parameters) {
    if (name == "oc_vectors") value = vectors;
    if (name == "pixels") value = std::clamp(value, 1, most_pixels);
    if (name == "prefetch") value = 0;
    if (name == "passes") value = 1;
  }
  return choice;
}

int64_t executed_flop(const KernelKey& key, const Choice& choice, const Machine& machine) {
  const Strategy& strategy = strategy_named(choice.strategy);
  return strategy.executed_flop ? strategy.executed_flop(key, choice, machine) : flop_count(key);
}

double estimated_cycles(const KernelKey& key, const Choice& choice, const Machine& machine) {
  return strategy_named(choice.strategy).cycles(key, choice, machine);
}

}  // namespace resnetc
