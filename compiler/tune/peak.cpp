#include "compiler/tune/peak.h"

#include <algorithm>

#include "compiler/tune/machine_lock.h"
#include "runtime/cpu.h"
#include "runtime/program/machine_peak.h"

namespace resnetc {
namespace {

// A reading and the memory that it takes cost some 0.4 s.
constexpr double seconds_between_readings = 20;

// Winograd's kernels count operations that they save.
bool performs_what_it_counts(const Choice& choice) {
  return choice.strategy.find("winograd") == std::string::npos;
}

}  // namespace

void read_peak(Tuning& t) {
  if (t.on_device() || (t.peak_gflops > 0 && seconds_since(t.peak_read) < seconds_between_readings)) return;
  try {
    const MachineLock timing(MachineLock::time, t.left());
    program::MachineMeter meter(t.options.threads, cpu_feature_bits(t.machine.target));
    for (int reading = 0; reading < 2; reading++) meter.read();
    t.peak_gflops = std::max(t.peak_gflops, meter.peak().flops * 1e-9);
    t.peak_read = Clock::now();
  } catch (const MachineIsBusy&) {
    // Shares of the peak are for those who read them; nothing is chosen by them.
  }
}

void raise_peak(Tuning& t, const KeySearch& search, const std::vector<Measurement>& measured) {
  for (const Measurement& m : measured)
    // Those with a ratio were timed to the end, the others a few times.
    if (m.failure.empty() && m.ratio > 0 && m.milliseconds > 0 && performs_what_it_counts(m.choice))
      t.peak_gflops = std::max(t.peak_gflops, record_of(t, search, m.choice, m.milliseconds).gflops);
}

}  // namespace resnetc
