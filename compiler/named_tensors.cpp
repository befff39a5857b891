#include "compiler/named_tensors.h"

#include <fmt/format.h>

#include "compiler/json_reader.h"

namespace resnetc {
namespace {

constexpr size_t most_length = 512;  // of a name that is renamed, before and after
// What renaming all tensors may cost: far more than any sensible patterns, and seconds at most.
constexpr int64_t steps_at_first = int64_t{1} << 26, steps_per_tensor = int64_t{1} << 12;

bool is_counter(std::string_view name) {
  return name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
}

[[noreturn]] void fail(const SafetensorsFile& file, const SafetensorsTensor& tensor, std::string_view what) {
  throw Error(fmt::format("{}: tensor {}: {}", file.path().string(), quote(tensor.name), what));
}

std::string renamed(const SafetensorsFile& file, const SafetensorsTensor& tensor, const std::vector<RenameRule>& rules,
                    int64_t& steps) {
  std::string name = tensor.name;
  for (const RenameRule& rule : rules) {
    if (name.size() > most_length)
      fail(file, tensor, fmt::format("a name of more than {} characters cannot go through weights.names", most_length));
    std::optional<std::string> result = rule.apply(name, steps);
    if (!result) fail(file, tensor, "the patterns of weights.names take too long; make them simpler");
    name = *std::move(result);
  }
  return name;
}

}  // namespace

NamedTensors::NamedTensors(const SafetensorsFile& file, const std::vector<RenameRule>& rules) {
  int64_t steps = steps_at_first + steps_per_tensor * static_cast<int64_t>(file.tensors().size());
  all_.reserve(file.tensors().size());  // the index points into it
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (is_counter(tensor.name)) continue;
    all_.push_back({renamed(file, tensor, rules, steps), &tensor});
    const auto [first, is_new] = index_.emplace(all_.back().name, &tensor);
    if (!is_new)
      fail(file, tensor,
           fmt::format("becomes {} by weights.names, as tensor {} does; make its patterns tell them apart",
                       quote(first->first), quote(first->second->name)));
  }
}

const SafetensorsTensor* NamedTensors::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : found->second;
}

}  // namespace resnetc
