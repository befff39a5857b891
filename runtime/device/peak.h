/* What a device can do at most, measured on it: a kernel that only multiplies and adds, in registers, and one that
   copies more than the last-level cache holds. Each interface has the two in its own language, so that no compiler of
   ours stands between. */
#ifndef RESNETC_RUNTIME_DEVICE_PEAK_H
#define RESNETC_RUNTIME_DEVICE_PEAK_H

#include "driver.h"

namespace resnetc::runtime {

// Both kernels run in blocks of so many threads; a thread copies so many times four floats.
constexpr int peak_block = 256, copies_a_thread = 4;
constexpr size_t bytes_a_block = size_t{peak_block} * copies_a_thread * 4 * sizeof(float);

// Chains of multiply-adds that wait for nothing but themselves, and how many of each stand in the loop's body.
constexpr int chains = 12, adds_a_round = 8;

// x * ratio + addend stays near 1 for any number of rounds.
constexpr float ratio = 0.5F, addend = 0.5F;

// Divisible by the blocks that fit onto a unit, 4, 6, 8 or 16, and enough for a last one that is late to be little.
inline unsigned blocks_of(const DeviceInfo& info) {
  return 48 * (info.units > 0 ? info.units : 1);
}

// vector: the floats of which each of a thread's chains has so many.
inline double flop_a_round(const DeviceInfo& info, int vector) {
  return 2.0 * chains * adds_a_round * vector * peak_block * blocks_of(info);
}

// Of each of the two buffers that are copied: together four times the cache.
size_t copied_bytes(const DeviceInfo& info);

// What a driver's file gives. Each returns false where the device fails.
struct PeakKernels {
  void* state;
  bool (*multiply_add)(void* state, int rounds);  // queues it
  bool (*copy)(void* state, bool back);           // queues it; back: from the second buffer to the first
  bool (*finish)(void* state);                    // waits for all that is queued
  double flop_of_round;
  double bytes_of_copy;  // read and written
};

// These return false where the device fails, or has no memory for what is copied. Flops and bytes of the peak are set.
bool measure_peak(const PeakKernels& kernels, rn_device_peak* peak);

// library: the driver's. The thread's context is the device's.
bool measure_cuda(void* library, void* stream, const DeviceInfo& info, rn_device_peak* peak);

bool measure_opencl(void* library, void* context, void* queue, void* device, const DeviceInfo& info,
                    rn_device_peak* peak);

}  // namespace resnetc::runtime

#endif
