#include "compiler/tune/search_keys.h"

#include <limits>
#include <utility>

namespace resnetc {
namespace {

constexpr size_t none = std::numeric_limits<size_t>::max();
// That a record is there soon.
constexpr size_t first_batch_size = 3;
constexpr double most_hopeless = 4;

size_t most_promising(const std::vector<KeySearch>& keys, const std::vector<bool>& done) {
  size_t next = none;
  for (size_t i = 0; i < keys.size(); i++) {
    const bool does_not_run = keys[i].milliseconds == 0 && keys[i].batches > 0;
    const auto rank = [&](size_t k) { return std::pair(!keys[k].elsewhere, priority(keys[k])); };
    if (!done[i] && !does_not_run && (next == none || rank(i) > rank(next))) next = i;
  }
  return next;
}

}  // namespace

void search_keys(std::vector<KeySearch>& keys, CostModel& model, const SearchActions& actions) {
  std::vector<bool> done(keys.size(), false);
  double hopeless = first_hopeless;
  size_t batch_size = first_batch_size;
  bool changed = false;  // since all were asked
  while (actions.has_time()) {
    for (KeySearch& search : keys) search.elsewhere = false;
    if (actions.learn) actions.learn();
    const size_t next = most_promising(keys, done);
    if (next == none) {
      if (!changed && 1.25 * hopeless > most_hopeless) break;
      if (!changed) hopeless *= 1.25;
      done.assign(keys.size(), false);
      changed = false;
      continue;
    }
    KeySearch& search = keys[next];
    const std::vector<Choice> batch = next_batch(search, model, winners_elsewhere(keys, search), batch_size, hopeless);
    if (batch.empty()) {
      done[next] = true;
      continue;
    }
    actions.measure(search, batch);
    batch_size = actions.batch_size;
    changed = true;
  }
  for (KeySearch& search : keys) search.hopeless = hopeless_count(search, model, hopeless);
}

}  // namespace resnetc
