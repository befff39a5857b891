#include "compiler/tune/key_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace resnetc {
namespace {

constexpr size_t enough_tried_to_judge = 24;

size_t index_of(const KeySearch& search, const Choice& choice) {
  return static_cast<size_t>(std::find(search.choices.begin(), search.choices.end(), choice) - search.choices.begin());
}

// Whether each of its parameters had this value in some candidate of its strategy that was tried: what the model knows
// of others it has from the estimate alone.
bool is_known(const KeySearch& search, const Choice& choice) {
  return std::all_of(choice.parameters.begin(), choice.parameters.end(), [&](const auto& parameter) {
    for (size_t i = 0; i < search.choices.size(); i++) {
      const Choice& other = search.choices[i];
      if (search.tried[i] && other.strategy == choice.strategy &&
          std::find(other.parameters.begin(), other.parameters.end(), parameter) != other.parameters.end())
        return true;
    }
    return false;
  });
}

struct Untried {
  double milliseconds;  // as predicted
  size_t index;
};

// The most promising first; those of them that are judged hopeless are at the end, from `judged` on.
struct UntriedOnes {
  std::vector<Untried> all;
  size_t judged;
};

UntriedOnes untried_of(const KeySearch& search, CostModel& model, double hopeless) {
  std::vector<Untried> untried;
  for (size_t i = 0; i < search.choices.size(); i++)
    if (!search.tried[i]) untried.push_back({model.predict(search.text, search.choices[i], search.cycles[i]), i});
  std::sort(untried.begin(), untried.end(), [](const Untried& a, const Untried& b) {
    return std::pair(a.milliseconds, a.index) < std::pair(b.milliseconds, b.index);
  });
  const bool judges = search.milliseconds > 0 && search.tried_count() >= enough_tried_to_judge;
  const auto judged = std::stable_partition(untried.begin(), untried.end(), [&](const Untried& u) {
    return !judges || u.milliseconds <= hopeless * search.milliseconds || !is_known(search, search.choices[u.index]);
  });
  const auto first = static_cast<size_t>(judged - untried.begin());
  return {std::move(untried), first};
}

// Whether the default and `before` were among them and either ran or will never do.
bool were_compared(const KeySearch& search, const std::vector<Measurement>& measured) {
  const auto was = [&](const Choice& choice) {
    return std::any_of(measured.begin(), measured.end(),
                       [&](const Measurement& m) { return m.choice == choice && !m.temporary; });
  };
  return was(search.fallback) && was(search.before);
}

// running: what ran in the same batch, or nullptr. Returns whether there is another choice.
bool give_up_wrong_best(KeySearch& search, const Measurement* running) {
  const Choice wrong = search.best;
  if (search.before != wrong) {
    take_back(search);
  } else if (search.fallback != wrong) {
    take_default(search, 0);
  } else if (running) {
    search.best = running->choice;
    search.milliseconds = running->milliseconds;
  } else {
    return false;
  }
  search.wrong.push_back(wrong);
  if (search.before == wrong) search.before = search.best;
  if (search.fallback == wrong) search.fallback = search.best;
  if (search.before == search.best) search.before_ratio = 1;
  if (search.fallback == search.best) search.fallback_ratio = 1;
  search.compared = false;
  search.not_compared = 0;
  return true;
}

}  // namespace

size_t KeySearch::tried_count() const {
  return static_cast<size_t>(std::count(tried.begin(), tried.end(), true));
}

bool KeySearch::is_wrong(const Choice& choice) const {
  return std::find(wrong.begin(), wrong.end(), choice) != wrong.end();
}

void add_choice(KeySearch& search, const Choice& choice, const Machine& machine) {
  if (index_of(search, choice) < search.choices.size()) return;
  search.choices.push_back(choice);
  search.cycles.push_back(estimated_cycles(search.key, choice, machine));
  search.tried.push_back(false);
}

KeySearch start_search(const KernelKey& key, int calls, const Machine& machine, const std::optional<Choice>& before,
                       const std::optional<Choice>& best) {
  KeySearch search;
  search.key = key;
  search.text = to_string(key);
  search.calls = calls;
  search.choices = candidates(key, machine);
  for (const Choice& choice : search.choices) search.cycles.push_back(estimated_cycles(key, choice, machine));
  search.tried.assign(search.choices.size(), false);
  search.fallback =
      machine.limits == DeviceLimits{} ? search.choices.front() : default_choice(key, with_limits(machine, {}));
  add_choice(search, search.fallback, machine);
  search.before = before.value_or(search.fallback);
  search.best = best.value_or(search.before);
  for (const Choice& choice : {search.before, search.best}) add_choice(search, choice, machine);
  return search;
}

size_t hopeless_count(const KeySearch& search, CostModel& model, double hopeless) {
  const UntriedOnes untried = untried_of(search, model, hopeless);
  return untried.all.size() - untried.judged;
}

std::vector<Choice> winners_elsewhere(const std::vector<KeySearch>& keys, const KeySearch& search) {
  std::vector<std::pair<double, Choice>> found;
  const double flop = std::log(1.0 + static_cast<double>(flop_count(search.key)));
  for (const KeySearch& other : keys)
    if (other.milliseconds > 0 && other.key.op.index() == search.key.op.index() && &other != &search)
      found.emplace_back(std::abs(std::log(1.0 + static_cast<double>(flop_count(other.key))) - flop), other.best);
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Choice> result;
  for (size_t i = 0; i < found.size() && i < 3; i++) result.push_back(found[i].second);
  return result;
}

std::vector<Choice> next_batch(const KeySearch& search, CostModel& model, const std::vector<Choice>& suggestions,
                               size_t count, double hopeless) {
  if (search.given_up) return {};
  std::vector<Choice> batch = {search.best};
  const auto take = [&](const Choice& choice) {
    if (batch.size() <= count && std::find(batch.begin(), batch.end(), choice) == batch.end()) batch.push_back(choice);
  };
  if (search.rival) take(*search.rival);
  if (!search.compared && search.not_compared < 2) {
    take(search.fallback);
    take(search.before);
  }
  for (const Choice& suggestion : suggestions) {
    const size_t index = index_of(search, suggestion);
    if (index < search.choices.size() && !search.tried[index]) take(suggestion);
  }

  const UntriedOnes untried = untried_of(search, model, hopeless);
  for (size_t i = 0; i < untried.judged && batch.size() <= count; i++) {
    // A fixed pick from the rest: the same database and the same times give the same search.
    const size_t far = i + (untried.judged - i) * 2 / 3;
    take(search.choices[untried.all[i % 5 == 4 ? far : i].index]);
  }
  if (batch.size() == 1 && search.batches > 0) batch.clear();
  return batch;
}

Entered enter(KeySearch& search, CostModel& model, const std::vector<Measurement>& measured) {
  const Measurement& first = measured.front();
  if (!first.failure.empty() && search.milliseconds == 0 && (!search.best_failed || first.temporary)) {
    search.given_up = search.best_failed;
    search.best_failed = true;
    return Entered::nothing;
  }
  search.batches++;
  search.rival.reset();
  const Measurement* reference = nullptr;  // what the ratios are to: the first that runs, as a rule the best so far
  for (const Measurement& m : measured) {
    const size_t index = index_of(search, m.choice);
    search.tried[index] = true;
    if (!m.failure.empty()) continue;
    model.add(search.text, m.choice, search.cycles[index], m.milliseconds);
    if (!reference) reference = &m;
  }
  const bool best_failed = reference != &first, ran_before = search.milliseconds > 0;
  if (best_failed && ran_before && !first.temporary && give_up_wrong_best(search, reference)) return Entered::wrong;
  if (!reference) return Entered::no_better;
  if (best_failed && ran_before) {
    // The machine may be busy.
    search.fruitless++;
    return Entered::no_better;
  }
  if (best_failed) {
    // There is no time of what does not run, nor a way back to it.
    if (search.before == search.best) search.before = reference->choice;
    search.best = reference->choice;
    search.fallback_ratio = search.before_ratio = 1;
  }
  for (const Measurement& m : measured)
    if (m.choice == search.fallback && !m.failure.empty() && !m.temporary) search.fallback = search.best;
  search.milliseconds = reference->milliseconds;
  if (!search.compared)
    for (const Measurement& m : measured) {
      if (!m.failure.empty()) continue;
      const double ratio = m.ratio > 0 ? 1 / m.ratio : reference->milliseconds / m.milliseconds;
      if (m.choice == search.fallback) search.fallback_ratio = ratio;
      if (m.choice == search.before) search.before_ratio = ratio;
    }
  const Measurement* winner = nullptr;
  for (const Measurement& m : measured)
    if (m.failure.empty() && m.ratio > 0 && m.ratio < 1 - std::max(0.01, m.noise) &&
        (!winner || m.ratio < winner->ratio))
      winner = &m;
  search.fruitless = winner ? 0 : search.fruitless + 1;
  // A winner's ratio is the least of many, so a product of such ratios promises too much.
  if (winner) {
    search.compared = false;
    search.not_compared = 0;
  } else if (!search.compared) {
    search.compared = were_compared(search, measured);
    search.not_compared += search.compared ? 0 : 1;
  }
  if (!winner) return best_failed ? Entered::better : Entered::no_better;
  search.best = winner->choice;
  search.milliseconds = winner->milliseconds;
  search.fallback_ratio *= winner->ratio;
  search.before_ratio *= winner->ratio;
  if (search.best == search.fallback) search.fallback_ratio = 1;
  if (search.best == search.before) search.before_ratio = 1;
  return Entered::better;
}

void take_back(KeySearch& search) {
  search.best = search.before;
  search.milliseconds /= search.before_ratio;
  search.fallback_ratio /= search.before_ratio;
  search.before_ratio = 1;
}

void take_default(KeySearch& search, double milliseconds_in_net) {
  search.best = search.fallback;
  if (search.milliseconds == 0) {
    search.milliseconds = milliseconds_in_net;
    return;
  }
  search.milliseconds /= search.fallback_ratio;
  search.before_ratio /= search.fallback_ratio;
  search.fallback_ratio = 1;
}

void take_over(KeySearch& search, const Choice& before, const Choice& best, const Machine& machine) {
  for (const Choice& choice : {before, best}) add_choice(search, choice, machine);
  if (best != search.best) search.rival = search.best;
  search.before = before;
  search.best = best;
  search.milliseconds = 0;
  search.fallback_ratio = search.before_ratio = 1;
  search.compared = false;
  search.not_compared = 0;
  search.batches = search.fruitless = 0;
  search.best_failed = false;
}

double priority(const KeySearch& search) {
  // Before its first measurement a key goes by its estimate, ahead of all that were measured.
  const size_t at = index_of(search, search.best);
  if (search.milliseconds == 0) return 1e12 * (1 + search.cycles[at] * search.calls);
  return search.calls * search.milliseconds / std::pow(1 + search.fruitless, 2) / std::sqrt(search.batches);
}

}  // namespace resnetc
