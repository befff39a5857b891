#include "peak.h"

#include "session.h"

namespace resnetc::runtime {
namespace {

// A measurement takes at least so long, beside which starting it and waiting for its end are little.
constexpr double least_seconds = 5e-3;
constexpr int readings = 5;
constexpr int most_times = 1 << 20;

// Seconds of `times` times of what queue(times) queues, where the device was idle before; negative if it fails.
template <class Queue>
double seconds_of(const PeakKernels& kernels, Queue&& queue, int times) {
  const double start = now();
  if (!queue(times) || !kernels.finish(kernels.state)) return -1;
  return now() - start;
}

// The least seconds of one time, of several readings: whatever else uses the device only adds to one. Negative if the
// device fails.
template <class Queue>
double least_of(const PeakKernels& kernels, Queue&& queue) {
  int times = 1;
  double seconds = seconds_of(kernels, queue, times);
  while (seconds >= 0 && seconds < least_seconds && times < most_times)
    seconds = seconds_of(kernels, queue, times *= 2);
  double least = seconds;
  for (int i = 1; i < readings && seconds >= 0; i++) {
    seconds = seconds_of(kernels, queue, times);
    least = seconds < least ? seconds : least;
  }
  return least / times;
}

}  // namespace

size_t copied_bytes(const DeviceInfo& info) {
  constexpr size_t least = size_t{32} << 20, most = size_t{256} << 20;
  size_t bytes = 2 * info.cache_bytes;
  bytes = bytes < least ? least : bytes > most ? most : bytes;
  // Beside a net's weights and tensors there may be little room.
  while (bytes > info.memory_bytes / 16 && bytes > bytes_a_block) bytes /= 2;
  return bytes / bytes_a_block * bytes_a_block;
}

bool measure_peak(const PeakKernels& kernels, rn_device_peak* peak) {
  // Memory that was never written may all be the same page of zeros.
  if (!kernels.copy(kernels.state, true) || !kernels.copy(kernels.state, false) || !kernels.finish(kernels.state))
    return false;
  const double round = least_of(kernels, [&](int times) { return kernels.multiply_add(kernels.state, times); });
  const double copy = least_of(kernels, [&](int times) {
    for (int i = 0; i < times; i++)
      if (!kernels.copy(kernels.state, false)) return false;
    return true;
  });
  if (!(round > 0) || !(copy > 0)) return false;
  peak->flops = kernels.flop_of_round / round;
  peak->bytes = kernels.bytes_of_copy / copy;
  return true;
}

}  // namespace resnetc::runtime
