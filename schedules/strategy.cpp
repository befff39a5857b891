#include "schedules/strategy.h"

#include <fmt/format.h>

#include <charconv>

namespace resnetc {

int Choice::operator[](std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  throw std::logic_error(fmt::format("strategy {} has no parameter {}", strategy, name));
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
  static constexpr const Strategy* all[] = {&conv2d_grouped, &conv2d_direct, &conv2d_max_pool, &dense,
                                            &max_pool,       &average_pool,  &layout,          &global_average_pool,
                                            &elementwise};
  return all;
}

const Strategy& strategy_named(std::string_view name) {
  for (const Strategy* strategy : strategies())
    if (strategy->name == name) return *strategy;
  throw Error(fmt::format("there is no strategy '{}'", name));
}

std::vector<Choice> candidates(const KernelKey& key, const Machine& machine) {
  std::vector<Choice> all;
  for (const Strategy* strategy : strategies()) {
    if (!strategy->applies(key, machine)) continue;
    for (Choice& choice : strategy->candidates(key, machine)) all.push_back(std::move(choice));
  }
  if (all.empty()) throw Error(fmt::format("no strategy runs {}", to_string(key)));
  return all;
}

Choice default_choice(const KernelKey& key, const Machine& machine) {
  return candidates(key, machine).front();
}

}  // namespace resnetc
