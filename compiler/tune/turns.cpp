#include "compiler/tune/turns.h"

#include <algorithm>
#include <utility>

#include "compiler/tune/median.h"
#include "ir/graph.h"

namespace resnetc {
namespace {

constexpr size_t finalists = 3;

// Each round begins with another contender: what ran before it tells in a kernel's time.
void time_round(std::vector<Contender>& contenders, size_t round) {
  for (size_t i = 0; i < contenders.size(); i++) {
    Contender& c = contenders[(round + i) % contenders.size()];
    try {
      c.seconds.push_back(c.time());
    } catch (const Error& e) {
      throw KernelFailed{c.index, e.what()};
    }
  }
}

}  // namespace

void time_in_turns(std::vector<Contender> contenders, const TurnsOptions& options,
                   const std::function<void(const Turns&)>& report) {
  const auto is_late = [&] { return options.now() >= options.deadline; };
  const auto drop_from = [&](size_t first) {
    for (size_t i = first; i < contenders.size(); i++) report({contenders[i].index, median(contenders[i].seconds)});
    contenders.erase(contenders.begin() + static_cast<std::ptrdiff_t>(first), contenders.end());
  };
  // The first stays where it is.
  const auto sort = [&] {
    std::stable_sort(contenders.begin() + 1, contenders.end(),
                     [](const Contender& a, const Contender& b) { return median(a.seconds) < median(b.seconds); });
  };

  // The first round warms up: page tables, the branch predictors, the clock.
  time_round(contenders, 0);
  double fastest = contenders[0].seconds[0];
  for (const Contender& c : contenders) fastest = std::min(fastest, c.seconds[0]);
  sort();
  const auto lost = std::find_if(contenders.begin() + 1, contenders.end(),
                                 [&](const Contender& c) { return c.seconds[0] >= options.hopeless * fastest; });
  drop_from(static_cast<size_t>(lost - contenders.begin()));
  bool warming = true;
  const auto forget_warming = [&] {
    if (std::exchange(warming, false))
      for (Contender& c : contenders) c.seconds.erase(c.seconds.begin());
  };
  for (size_t rounds = 3; contenders.size() > finalists && !is_late(); rounds += 2) {
    size_t done = 0;
    while (done == 0 || (done < rounds && !is_late())) time_round(contenders, done++);
    forget_warming();
    sort();
    drop_from(1 + contenders.size() / 2);
  }
  sort();
  if (contenders.size() > finalists) drop_from(finalists);

  // At least 15 rounds, more for short kernels, up to 0.25 s.
  std::vector<std::vector<double>> last(contenders.size());
  const double start = options.now();
  for (size_t round = 0; round < 3 || (round < 15 && !is_late()) || (round < 101 && options.now() < start + 0.25);
       round++) {
    time_round(contenders, round);
    for (size_t i = 0; i < contenders.size(); i++) last[i].push_back(contenders[i].seconds.back());
  }
  forget_warming();
  for (size_t i = 0; i < contenders.size(); i++) {
    const Ratio r = median_ratio(last[i], last[0]);
    report({contenders[i].index, median(contenders[i].seconds), r.ratio, r.noise});
  }
}

}  // namespace resnetc
