/* A device that runs a whole net: what runtime.cpp asks of runtime/device/, which is linked for GPU targets only. The
   net's arena and weights lie in the device's memory; inputs go up, kernels are queued one after the other, outputs
   come down. */
#ifndef RESNETC_RUNTIME_DEVICE_H
#define RESNETC_RUNTIME_DEVICE_H

#include <stddef.h>

#include "description.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a device is, and what it can do at most, measured on it. */
typedef struct rn_device_peak {
  char name[256];
  uint64_t cache_bytes; /* of the last level */
  double flops;         /* float32 operations a second: multiply-adds in registers and nothing else */
  double bytes;         /* a second, read and written by a copy of more than the cache holds */
} rn_device_peak;

typedef struct rn_device {
  const char* api; /* "OpenCL" or "CUDA" */

  /* How many devices there are; -1 without a driver, and the message says what is missing. */
  int (*count)(char* message, size_t message_bytes);
  /* One line on a device of 0 to count - 1. */
  void (*describe)(int index, char* text, size_t text_bytes);

  /* A net on a device, for batches of at most max_batch: all memory is there, every kernel is compiled and has run.
     Returns 0 or an rn_error_... with a message; then *net is NULL. */
  int (*create)(void** net, const rn_description* description, int index, int max_batch, char* message,
                size_t message_bytes);
  /* As rn_run, of at most max_batch images. */
  int (*run)(void* net, const float* input, int batch, float* output, char* message, size_t message_bytes);
  /* The kernels alone, once more on the input that the last run brought up: the seconds from the first one's start
     until the device has done them all. batch: as then. */
  int (*run_kernels)(void* net, int batch, double* seconds, char* message, size_t message_bytes);
  /* One step alone, over and over on what is there: the seconds of one launch among as many as take a millisecond, one
     behind the other between two moments at which the device is idle. Its result is worthless, the next run's is not.
   */
  int (*time_step)(void* net, uint32_t step, int batch, double* seconds, char* message, size_t message_bytes);
  /* Takes some 0.1 s, and memory for what is copied. */
  int (*measure)(void* net, rn_device_peak* peak, char* message, size_t message_bytes);
  void (*destroy)(void* net);

  const void* driver; /* of device/driver.h */
} rn_device;

extern const rn_device rn_opencl, rn_cuda;

#ifdef __cplusplus
}
#endif
#endif
