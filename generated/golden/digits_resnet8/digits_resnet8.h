/* digits_resnet8, compiled by resnetc 0.1.0, Halide 21.0.0 for x86-64-linux-avx-avx2-f16c-fma-sse41. */
#ifndef RESNETC_MODEL_digits_resnet8_H
#define RESNETC_MODEL_digits_resnet8_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define digits_resnet8_CHANNELS 1
#define digits_resnet8_HEIGHT 16
#define digits_resnet8_WIDTH 16
#define digits_resnet8_CLASSES 10 /* floats of output for each image */
#define digits_resnet8_ARENA_BYTES(max_batch) ((size_t)((max_batch) < 16 ? (max_batch) : 16) * (size_t)62208u)

typedef struct digits_resnet8_model digits_resnet8_model;

typedef struct digits_resnet8_options {
  int threads;        /* 0: as many as the affinity mask and the cgroup's CPU quota allow; 1: the caller's thread only */
  int max_batch;      /* images that may run at once; 0: 1. As many as threads: each takes its own, with more memory */
  void* arena;        /* NULL, or 64-byte aligned memory for this model alone that outlives it; threads share images */
  size_t arena_bytes; /* at least digits_resnet8_ARENA_BYTES(max_batch) when arena is given */
} digits_resnet8_options;

/* All functions return 0, or an error code whose text digits_resnet8_message gives. Models are independent of each other; one
   model serves one caller at a time.
   Sets *out also on failure, to a model good only for digits_resnet8_message and digits_resnet8_destroy; to NULL when out of memory.
   options may be NULL. */
int digits_resnet8_create(digits_resnet8_model** out, const digits_resnet8_options* options);

/* input: n x 1 x 16 x 16 float32, normalised. output: n x 10 logits, before any softmax.
   Any n; runs in chunks of max_batch or fewer. Allocates nothing. */
int digits_resnet8_run(digits_resnet8_model* model, const float* input_nchw, int n, float* output);

/* rgb: height rows of width 8-bit RGB pixels, row_bytes apart; resized, cropped and normalised as the model needs it. */
int digits_resnet8_run_image(digits_resnet8_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output);

/* The last error of this model, "" if none; valid until the next call on it. */
const char* digits_resnet8_message(const digits_resnet8_model* model);
void digits_resnet8_destroy(digits_resnet8_model* model);

/* The label of a class, or NULL if there is none. */
const char* digits_resnet8_label(int index);

#ifdef __cplusplus
}
#endif
#endif
