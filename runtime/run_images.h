/* Images through the net, on the CPU. */
#ifndef RESNETC_RUNTIME_RUN_IMAGES_H
#define RESNETC_RUNTIME_RUN_IMAGES_H

#include "handle.h"

namespace resnetc::runtime {

/* The images that go through the net, or through its tail, before the next ones begin. */
int images_together(const rn_model* model);

/* Lets each thread take images of its own, where there may be one for each. Without it, or without memory for it, all
   threads take the same images. */
void make_own_calls(rn_model* model);

int run_images(rn_model* model, const float* input, int n, float* output);

}  // namespace resnetc::runtime

#endif
