/* The kernel calls of a handle: Halide's buffers over its arena. */
#ifndef RESNETC_RUNTIME_CALLS_H
#define RESNETC_RUNTIME_CALLS_H

#include <HalideRuntime.h>

#include "arena.h"

namespace resnetc::runtime {

struct Call {
  halide_buffer_t buffers[rn_max_operands];
  halide_dimension_t dimensions[rn_max_operands][5];
  void* arguments[rn_max_operands + 1];  // the user context, then the buffers
};

struct Calls {
  const rn_description* description;
  Call* steps;  // one for each of the first `step_count` steps
  uint32_t step_count;
  unsigned char *head, *tail;    // the arena's parts
  int head_images, tail_images;  // that go through each part together at most
  int head_batch, tail_batch;    // that the buffers are set for
};

// Needs all but the batches. user_context: where kernels find theirs.
void describe_calls(Calls* calls, void** user_context);

// Of the steps from first to before last, whose buffers are set for *batch_now.
void set_batch(Calls* calls, uint32_t first, uint32_t last, int batch, int* batch_now);

// The next images of the head are those from this one on, of the images that the tail takes together: what it reads of
// them goes to their places.
void set_image(Calls* calls, int image);

// Of so many images from the first on.
void clear_border(const Calls& calls, const rn_tensor& t, int first, int batch);

}  // namespace resnetc::runtime

#endif
