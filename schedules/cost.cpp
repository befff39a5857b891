#include "schedules/cost.h"

#include <algorithm>

namespace resnetc {

double parallel_cycles(double cycles, int tasks, const Machine& machine) {
  if (tasks <= 1 || machine.threads <= 1) return cycles;
  constexpr double start = 5000;
  const int rounds = (tasks + machine.threads - 1) / machine.threads;
  return cycles * rounds / tasks + start;
}

double memory_cycles(double bytes, int threads) {
  // Bytes a cycle: of one core, and of all.
  return bytes / std::min(4.0 * threads, 8.0);
}

double cache_cycles(double bytes) {
  return bytes / 16;
}

double handed_over_cycles(double bytes, const Machine& machine) {
  // Zen 5, two cores without a common cache: 40 GB/s in order.
  return bytes * (machine.threads - 1) / machine.threads / 10;
}

double overlapped_cycles(double arithmetic, double memory) {
  return std::max(arithmetic, memory) + 0.3 * std::min(arithmetic, memory);
}

double traffic_cycles(const KernelKey& key, const Machine& machine) {
  double activations = 4.0 * static_cast<double>(element_count(key.result)), weights = 0;
  for (const TensorType& type : key.operands)
    (type.is_activation() ? activations : weights) +=
        static_cast<double>(element_bytes(type.dtype)) * static_cast<double>(element_count(type));
  return overlapped_cycles(cache_cycles(activations) / machine.threads, memory_cycles(weights, machine.threads));
}

}  // namespace resnetc
