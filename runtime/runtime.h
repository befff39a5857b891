/* The runtime that is linked into every emitted library: handles, threads, the kernel loop.
   The emitted NAME_* functions are thin wrappers around these. Needs libc and pthreads only; no
   exceptions, no global state. Handles are independent; one handle serves one caller at a time. */
#ifndef RESNETC_RUNTIME_RUNTIME_H
#define RESNETC_RUNTIME_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "description.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_model rn_model;

typedef struct rn_options {
  int threads;   /* 0: as many as the affinity mask and the cgroup's CPU quota allow */
  int max_batch; /* 0: 1 */
  void* arena;   /* NULL: allocated by create; else 64-byte aligned memory for this handle alone that outlives it */
  size_t arena_bytes; /* of the caller's arena */
  int device;         /* which one, where the kernels run on a device; 0 is the first */
  int fallback;       /* 1: where the device is not there, busy or full, on the CPU; rn_message then says why */
} rn_options;

enum {
  rn_ok = 0,
  rn_error_argument = 1,
  rn_error_cpu = 2,
  rn_error_memory = 3,
  rn_error_thread = 4,
  rn_error_kernel = 5,
  rn_error_device = 6
};

/* Sets *out also on failure, to a handle good only for rn_message and rn_destroy; to NULL when out of memory. */
int rn_create(rn_model** out, const rn_description* description, const rn_options* options);

/* input: n x C x H x W float32, normalised; output: n x classes (or n x C x H x W without a head).
   Any n >= 0; runs in chunks of max_batch or fewer. Allocates nothing. */
int rn_run(rn_model* model, const float* input, int n, float* output);

/* rgb: height rows of width 8-bit RGB pixels, row_bytes apart. Resizes, crops, normalises, runs one image. */
int rn_run_image(rn_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output);

/* The last error of this handle, "" if none; valid until the next call on it. */
const char* rn_message(const rn_model* model);
void rn_destroy(rn_model* model);

/* On the CPU: from now on rn_run adds the seconds that each step takes to seconds[step], and those that zeroing a
   border takes before it to seconds[step_count + step]: 2 * step_count sums that the caller owns. NULL: no more.
   Meanwhile all threads work on the same images. */
void rn_profile(rn_model* model, double* seconds);

/* 1: all threads work on the same images from now on; 0: as at first, each takes some of its own where it can. */
void rn_share_images(rn_model* model, int on);

/* On a device, after rn_run: its kernels alone once more, on the last input, for batch images of at most
   rn_images_at_once. Sets *seconds to their time, without input and output being moved. */
int rn_run_kernels(rn_model* model, int batch, double* seconds);

/* On a device: sets *seconds to those of one launch of a step alone, as rn_device's time_step. */
int rn_time_step(rn_model* model, uint32_t step, int batch, double* seconds);

/* What the device can do at most, as rn_device's measure. */
int rn_measure_device(rn_model* model, struct rn_device_peak* peak);

int rn_thread_count(const rn_model* model);
int rn_max_batch(const rn_model* model);

/* Bytes beside the arena for images that the threads take through the head of the net each on its own; 0: they do not.
   A handle for as many images as threads has them, but not with the caller's arena, nor where the tail takes fewer
   images than there are threads. */
uint64_t rn_own_image_bytes(const rn_model* model);

/* Parallel loops that several threads of this handle have run so far; the count begins again after 2^32. */
uint32_t rn_parallel_loops(const rn_model* model);

/* The images that a handle for max_batch takes through a step together. */
int rn_images_at_once(const rn_description* description, uint32_t step, int max_batch);

/* How many images can go through the net together: kernels count the floats of a tensor in 32 bits. */
int rn_most_images(const rn_description* description);

/* The arena that a handle for max_batch needs. */
uint64_t rn_arena_bytes(const rn_description* description, int max_batch);

/* Fills count floats, uniform in [-1, 1), a fixed function of seed: the input of --self-test. */
void rn_self_test_input(uint64_t seed, float* values, size_t count);

#ifdef __cplusplus
}
#endif
#endif
