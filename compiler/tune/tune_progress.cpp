#include "compiler/tune/tune_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "compiler/message.h"

namespace resnetc {
namespace {

std::string clock_text(double seconds) {
  const int whole = static_cast<int>(std::max(seconds, 0.0));
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

struct Sums {
  size_t measured = 0, tried = 0, hopeless = 0, choices = 0;
  double before_ms = 0, now_ms = 0;
};

// Of all calls of the kernels that were measured.
Sums sums_of(const std::vector<KeySearch>& keys) {
  Sums sums;
  for (const KeySearch& search : keys) {
    sums.tried += search.tried_count();
    sums.hopeless += search.hopeless;
    sums.choices += search.choices.size();
    if (search.milliseconds == 0) continue;
    sums.measured++;
    sums.now_ms += search.calls * search.milliseconds;
    sums.before_ms += search.calls * search.milliseconds / search.fallback_ratio;
  }
  return sums;
}

std::string summary(const std::vector<KeySearch>& keys) {
  const Sums sums = sums_of(keys);
  return fmt::format("{}/{} kernels, {} of {} candidates tried{}, sum of kernels {:.4g} ms (defaults {:.4g})",
                     sums.measured, keys.size(), sums.tried, sums.choices,
                     sums.hopeless > 0 ? fmt::format(", {} judged hopeless", sums.hopeless) : "", sums.now_ms,
                     sums.before_ms);
}

}  // namespace

TuneProgress::TuneProgress(double budget_s, std::string records)
    : budget_s_(budget_s), records_(std::move(records)), terminal_(isatty(STDERR_FILENO) == 1) {
  print_message("tuning for {}, records go to {}\n", clock_text(budget_s_), records_);
}

TuneProgress::~TuneProgress() {
  if (terminal_) print_message("\r\033[K");
}

void TuneProgress::update(const std::vector<KeySearch>& keys, double spent_s) {
  if (terminal_ || is_due(spent_s)) show(summary(keys), spent_s);
}

void TuneProgress::update_net(const std::string& net, int round, double spent_s) {
  if (terminal_ || is_due(spent_s)) show(fmt::format("{}: whole net, round {}", net, round), spent_s);
}

bool TuneProgress::is_due(double spent_s) const {
  return spent_s - last_ >= 10;
}

void TuneProgress::show(const std::string& what, double spent_s) {
  last_ = spent_s;
  if (terminal_) {
    constexpr size_t width = 20;
    const size_t filled = std::min(width, static_cast<size_t>(static_cast<double>(width) * spent_s / budget_s_));
    print_message("\r\033[Ktune [{}{}] {} left, {}", std::string(filled, '#'), std::string(width - filled, '.'),
                  clock_text(budget_s_ - spent_s), what);
    std::fflush(stderr);
  } else {
    print_message("tune: {} left, {}\n", clock_text(budget_s_ - spent_s), what);
  }
}

void TuneProgress::say(const std::string& line) {
  print_message("{}{}\n", terminal_ ? "\r\033[K" : "", line);
}

void TuneProgress::finish(const std::vector<KeySearch>& keys, double spent_s) {
  say(fmt::format("tune: {} in {}", summary(keys), clock_text(spent_s)));
}

}  // namespace resnetc
