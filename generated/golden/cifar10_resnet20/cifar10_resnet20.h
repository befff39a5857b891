/* cifar10_resnet20, compiled by resnetc 0.1.0, Halide 21.0.0 for x86-64-linux-avx-avx2-f16c-fma-sse41. */
#ifndef RESNETC_MODEL_cifar10_resnet20_H
#define RESNETC_MODEL_cifar10_resnet20_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define cifar10_resnet20_CHANNELS 3
#define cifar10_resnet20_HEIGHT 32
#define cifar10_resnet20_WIDTH 32
#define cifar10_resnet20_CLASSES 10 /* floats of output for each image */
#define cifar10_resnet20_ARENA_BYTES(max_batch) ((size_t)((max_batch) < 4 ? (max_batch) : 4) * (size_t)221952u)

typedef struct cifar10_resnet20_model cifar10_resnet20_model;

typedef struct cifar10_resnet20_options {
  int threads;        /* 0: as many as the affinity mask and the cgroup's CPU quota allow; 1: the caller's thread only */
  int max_batch;      /* images that may run at once; 0: 1. As many as threads: each takes its own, with more memory */
  void* arena;        /* NULL, or 64-byte aligned memory for this model alone that outlives it; threads share images */
  size_t arena_bytes; /* at least cifar10_resnet20_ARENA_BYTES(max_batch) when arena is given */
} cifar10_resnet20_options;

/* All functions return 0, or an error code whose text cifar10_resnet20_message gives. Models are independent of each other; one
   model serves one caller at a time.
   Sets *out also on failure, to a model good only for cifar10_resnet20_message and cifar10_resnet20_destroy; to NULL when out of memory.
   options may be NULL. */
int cifar10_resnet20_create(cifar10_resnet20_model** out, const cifar10_resnet20_options* options);

/* input: n x 3 x 32 x 32 float32, normalised. output: n x 10 logits, before any softmax.
   Any n; runs in chunks of max_batch or fewer. Allocates nothing. */
int cifar10_resnet20_run(cifar10_resnet20_model* model, const float* input_nchw, int n, float* output);

/* rgb: height rows of width 8-bit RGB pixels, row_bytes apart; resized, cropped and normalised as the model needs it. */
int cifar10_resnet20_run_image(cifar10_resnet20_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output);

/* The last error of this model, "" if none; valid until the next call on it. */
const char* cifar10_resnet20_message(const cifar10_resnet20_model* model);
void cifar10_resnet20_destroy(cifar10_resnet20_model* model);

/* The label of a class, or NULL if there is none. */
const char* cifar10_resnet20_label(int index);

#ifdef __cplusplus
}
#endif
#endif
