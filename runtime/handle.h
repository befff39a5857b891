/* What a handle holds. */
#ifndef RESNETC_RUNTIME_HANDLE_H
#define RESNETC_RUNTIME_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "calls.h"
#include "pool.h"
#include "runtime.h"

namespace resnetc::runtime {

// What one thread runs images of its own with, through the head.
struct OwnCalls {
  Calls calls;
  void* user_context;  // its worker
};

}  // namespace resnetc::runtime

struct rn_model {
  const rn_description* description;
  resnetc::runtime::Pool pool;
  void* user_context;  // the worker of the caller's thread
  resnetc::runtime::Calls calls;
  size_t own_arena_bytes;  // 0: the caller's
  // What the threads but the caller's run images of their own with; NULL: they do not.
  resnetc::runtime::OwnCalls* own_calls;
  resnetc::runtime::Call* own_steps;  // the steps of all of own_calls
  void* own_heads;                    // and the memory of their heads
  size_t own_heads_bytes;
  float* image_input;  // one preprocessed image
  void* workers_memory;
  void* scratch_memory;
  int max_batch;
  double* seconds;  // of rn_profile, or NULL
  bool share_images;
  std::atomic<uint32_t> failed_step;  // of this run the first, counted from 1; 0: none
  bool on_cpu;                        // always, but where a device is used
  void* device_net;                   // NULL: the kernels run on the CPU
  char message[512];
};

namespace resnetc::runtime {

/* Sets the handle's message and returns the code. */
int fail(rn_model* model, int code, const char* format, ...) __attribute__((format(printf, 3, 4)));

/* Pages of zeros; NULL without memory. */
void* map_pages(size_t bytes);

}  // namespace resnetc::runtime

#endif
