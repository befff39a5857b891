// Calls compiled kernels on a device with operands of their own, as runtime/device/ does in an emitted program: images
// with their borders, packed weights, all in the device's memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/tune/kernel_data.h"
#include "compiler/tune/kernel_runner.h"

namespace resnetc {

namespace runtime {
struct KernelLaunches;
}

// How many images the reference is to compute for a batch of that size on a device: of a large one a few, which the
// others repeat. The first, the last and some between are what is checked.
int checked_images(int batch);

// An open device, and a kernel's operands and result in its memory, which all candidates share.
class DeviceData {
 public:
  // library: as make_kernel_device links it. scratch_bytes: of the host. data: of checked_images(batch). Throws Error.
  DeviceData(const std::string& library, const Machine& machine, int device, size_t scratch_bytes, KernelData& data,
             int batch);
  ~DeviceData();
  DeviceData(const DeviceData&) = delete;
  DeviceData& operator=(const DeviceData&) = delete;

  // Whether it still computes: after an error that it does not recover from, every use of it fails.
  bool works();

 private:
  friend class DeviceRunner;
  struct State;
  std::unique_ptr<State> state_;
};

class DeviceRunner {
 public:
  // library: of the kernel. cold: copies of the weights take turns, more than the device's cache holds. Throws Error.
  DeviceRunner(DeviceData& data, const Choice& choice, const Machine& machine, const std::string& library, bool cold);
  ~DeviceRunner();
  DeviceRunner(const DeviceRunner&) = delete;
  DeviceRunner& operator=(const DeviceRunner&) = delete;

  // Has the driver compile the kernel and runs it. Returns what is wrong with the status or the result, "" if nothing.
  std::string check();
  // Seconds of one launch among as many as take a millisecond, one behind the other, recorded as one unit of work where
  // the device knows such a thing; one call goes on with the copies of the weights where the last one stopped: what a
  // launch costs the host does not hide what it costs the device. Throws Error.
  double time();

 private:
  struct Call;
  void record(const runtime::KernelLaunches& launches);
  DeviceData& data_;
  KernelLibrary library_;
  std::unique_ptr<Call> call_;
};

}  // namespace resnetc
