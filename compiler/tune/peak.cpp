#include "compiler/tune/peak.h"

#include <algorithm>
#include <exception>

#include "compiler/process.h"
#include "compiler/tune/machine_lock.h"
#include "runtime/cpu.h"
#include "runtime/program/machine_peak.h"

namespace resnetc {
namespace {

// A reading and the memory that it takes cost some 0.4 s.
constexpr double seconds_between_readings = 20;
constexpr double patience_s = 1;

// Winograd's kernels count operations that they save.
bool performs_what_it_counts(const Choice& choice) {
  return choice.strategy.find("winograd") == std::string::npos;
}

}  // namespace

void read_peak(Tuning& t) {
  const bool tried = t.peak_read != Clock::time_point{};
  if (t.on_device() || (tried && seconds_since(t.peak_read) < seconds_between_readings)) return;
  try {
    const MachineLock timing(MachineLock::time, std::min(patience_s, t.left()));
    program::MachineMeter meter(t.options.threads, cpu_feature_bits(t.machine.target));
    for (int reading = 0; reading < 2; reading++) meter.read();
    t.peak_gflops = std::max(t.peak_gflops, meter.peak().flops * 1e-9);
  } catch (const std::exception&) {
    // Shares of the peak are for those who read them: nothing is chosen by them, nor ends for want of them.
    check_interrupted();
  }
  t.peak_read = Clock::now();
}

void raise_peak(Tuning& t, const KeySearch& search, const std::vector<Measurement>& measured) {
  if (t.peak_gflops <= 0) return;
  for (const Measurement& m : measured)
    // Those with a ratio were timed to the end, the others a few times.
    if (m.failure.empty() && m.ratio > 0 && m.milliseconds > 0 && performs_what_it_counts(m.choice))
      t.peak_gflops = std::max(t.peak_gflops, record_of(t, search, m.choice, m.milliseconds).gflops);
}

}  // namespace resnetc
