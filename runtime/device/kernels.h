/* Kernels one by one on a device, for what times them: a shared object with Halide's runtime and ours exports
   rn_kernel_device, and kernels' own shared objects use its hooks. No part of an emitted program. */
#ifndef RESNETC_RUNTIME_DEVICE_KERNELS_H
#define RESNETC_RUNTIME_DEVICE_KERNELS_H

#include <stddef.h>

#include "driver.h"

namespace resnetc::runtime {

struct Session;

struct KernelLaunches {
  rn_kernel kernel;
  void** const* arguments;  // `lists` lists
  int lists, count;
};

// Where a function returns int, 0 is success; otherwise error() says why.
struct KernelDevice {
  // device: rn_opencl or rn_cuda. scratch_bytes: of the host, for what kernels ask of halide_malloc; those of our
  // strategies ask for none. NULL: the message says why.
  Session* (*open)(const rn_device* device, int index, size_t scratch_bytes, char* message, size_t bytes);
  const DeviceInfo* (*info)(const Session* session);
  // Whether it runs kernels of a target; error() does not say why not.
  int (*check)(const Session* session, const char* target, char* message, size_t bytes);
  // What a kernel's first argument is.
  void* (*context)(Session* session);

  int (*allocate)(Session* session, halide_buffer_t* buffer);
  // Brings up what buffer->host holds, into new memory if it has none.
  int (*up)(Session* session, halide_buffer_t* buffer);
  // Brings what the device has into buffer->host.
  int (*down)(Session* session, halide_buffer_t* buffer);
  // Gives `part`, which lies within `whole`, its memory.
  int (*share)(Session* session, const halide_buffer_t* whole, halide_buffer_t* part);
  void (*unshare)(Session* session, halide_buffer_t* part);
  void (*release)(Session* session, halide_buffer_t* buffer);  // memory of its own

  // Launches a kernel so many times, with one list of arguments after the other, and waits for all of them. The seconds
  // run from the first launch to the end of the last, where the device was idle before.
  int (*run)(Session* session, const KernelLaunches& launches, double* seconds);

  // The same as one unit of work, which costs the host one call: as in an emitted program. The kernel must have run.
  // record returns null where that cannot be had.
  void* (*record)(Session* session, const KernelLaunches& launches);
  int (*replay)(Session* session, void* recording, double* seconds);
  void (*forget)(Session* session, void* recording);

  // What the device can do at most; error() does not say why it fails.
  int (*measure)(Session* session, rn_device_peak* peak, char* message, size_t bytes);

  const char* (*error)(Session* session);
  void (*close)(Session* session);
};

}  // namespace resnetc::runtime

extern "C" const resnetc::runtime::KernelDevice rn_kernel_device;

#endif
