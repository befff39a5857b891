/* The contract between an emitted driver (tables in C), the runtime and the emitted program.
   A driver fills one rn_description with constants; the runtime interprets it. Plain C, no ownership:
   everything a description points to is static and read-only. */
#ifndef RESNETC_RUNTIME_DESCRIPTION_H
#define RESNETC_RUNTIME_DESCRIPTION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One activation in the arena: float32, NHWC, with a border of zeros around each image. */
typedef struct rn_tensor {
  uint64_t offset; /* bytes for one image, in the head's part of the arena or behind it in the tail's (rn_part) */
  int32_t height, width, channels;
  int32_t border_top, border_left, border_bottom, border_right;
  int32_t is_vector;     /* 1: [n, c], stored as an image of one pixel */
  int32_t border_shared; /* 1: another tensor overwrites the border, so it is zeroed before the producer runs */
} rn_tensor;

/* One packed weight array inside the weight blob: float32, or two bf16 in the place of each, dense, extent[0]
   innermost. */
typedef struct rn_weight {
  uint64_t offset; /* bytes from the start of the blob, a multiple of 64 */
  int32_t dimensions;
  int32_t extent[5];
} rn_weight;

enum { rn_operand_tensor, rn_operand_weight, rn_operand_input, rn_operand_output };

typedef struct rn_operand {
  uint32_t kind;  /* rn_operand_... */
  uint32_t index; /* into tensors or weights; unused for the caller's input and output */
} rn_operand;

enum { rn_max_operands = 6 };

/* Halide's argv calling convention: arguments[0] points to the user context, the rest are halide_buffer_t*. */
typedef int (*rn_kernel)(void** arguments);

/* One kernel call. The last operand is the one that it writes. */
typedef struct rn_step {
  rn_kernel kernel;
  uint32_t kernel_index; /* into kernel_keys */
  uint32_t operand_count;
  rn_operand operands[rn_max_operands];
} rn_step;

enum { rn_interpolate_nearest, rn_interpolate_bilinear, rn_interpolate_bicubic };
enum { rn_order_rgb, rn_order_bgr, rn_order_gray };
enum { rn_resize_none, rn_resize_shorter_side, rn_resize_exact };

/* An image becomes an input as torchvision does it: resize, centre crop, then
   x = (u8 * scale - mean[c]) / std[c] with c in the net's own channel order. */
typedef struct rn_preprocess {
  int32_t resize;                      /* rn_resize_... */
  int32_t resize_height, resize_width; /* rn_resize_shorter_side: both are the new shorter side */
  int32_t crop_height, crop_width;     /* 0: no crop */
  int32_t interpolation;               /* rn_interpolate_... */
  int32_t order; /* rn_order_...; gray means one channel, Pillow's convert("L") before the resize */
  double scale;
  double mean[3], std[3];
} rn_preprocess;

/* x86-64 features a binary was built for (rn_description.cpu_features). */
enum {
  rn_cpu_sse41 = 1 << 0,
  rn_cpu_avx = 1 << 1,
  rn_cpu_f16c = 1 << 2,
  rn_cpu_fma = 1 << 3,
  rn_cpu_avx2 = 1 << 4,
  rn_cpu_avx512 = 1 << 5,            /* F, CD */
  rn_cpu_avx512_skylake = 1 << 6,    /* VL, BW, DQ */
  rn_cpu_avx512_cannonlake = 1 << 7, /* IFMA, VBMI */
  rn_cpu_avx512_zen4 = 1 << 8,       /* VNNI, BF16, BITALG, VBMI2, VPOPCNTDQ */
  rn_cpu_avx512_zen5 = 1 << 9        /* VP2INTERSECT, AVX-VNNI */
};

/* A net runs in two parts. The head's steps take few images at a time, as their activations are to stay in a cache;
   then the tail's, which have much to read of weights and little of activations, take as many as the head was run for.
   The arena holds the head's tensors and behind them the tail's, each for the images that go through its part together.
   What the tail reads of the head's results counts as the tail's. */
typedef struct rn_part {
  uint64_t arena_bytes_per_image;
  int images_at_once; /* at least 1: no more go through the part together, however large max_batch is */
} rn_part;

struct rn_device; /* of device.h */

typedef struct rn_description {
  const char* name;      /* the model's */
  const char* target;    /* the Halide target it was compiled for */
  const char* version;   /* resnetc's and Halide's */
  uint32_t cpu_features; /* without which nothing of it runs */

  int32_t channels, height, width;                      /* of the input, N x C x H x W float32 */
  int32_t output_channels, output_height, output_width; /* classes x 1 x 1 with a head */
  int32_t has_head;
  const char* const* labels; /* output_channels of them, or NULL */
  int32_t has_preprocess;
  rn_preprocess preprocess;

  const unsigned char* weight_blob;
  uint64_t weight_bytes;
  int32_t weights_bf16; /* 1: convolutions and dense layers have theirs as bf16 */
  const rn_tensor* tensors;
  uint32_t tensor_count;
  const rn_weight* weights;
  uint32_t weight_count;
  const rn_step* steps;
  uint32_t step_count;
  const char* const* step_names; /* step_count of them: the node that a step computes */
  const char* const* kernel_keys;
  const char* const* kernel_choices;     /* the strategy of each, with its parameters */
  const uint64_t* kernel_flops;          /* of one image: two for each multiply-accumulate */
  const uint64_t* kernel_executed_flops; /* that it executes: other ones where it does not sum directly (Winograd) */
  uint32_t kernel_count;

  rn_part head, tail;
  uint32_t tail_step;     /* the tail's first step; step_count: there is none, and only the head counts */
  uint64_t scratch_bytes; /* per thread: the most that any kernel asks of halide_malloc at once */

  uint64_t parameters; /* of the net */
  uint64_t macs;       /* multiply-accumulates of one image */
  uint64_t self_test_seed;
  const float* self_test_logits; /* the reference evaluator's, for rn_self_test_input(seed); NULL if none */
  double self_test_bound;        /* of the largest |difference| divided by the largest |logit| */

  const struct rn_device* device;    /* that the kernels run on; NULL: the CPU */
  const rn_kernel* fallback_kernels; /* kernel_count of them for the CPU, with the same weights; or NULL */
  uint32_t fallback_cpu_features;    /* that these need */
} rn_description;

#ifdef __cplusplus
}
#endif
#endif
