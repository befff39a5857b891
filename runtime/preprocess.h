/* From an RGB image to a normalised input: Pillow's resize bit for bit, torchvision's sizes and crop.
   Part of every emitted library: libc only, no exceptions. Resizes across first, then down, as Pillow does up to
   version 12; Pillow 13 goes down first where the height shrinks by more than twice what the width does, and then
   differs by 1 of 255 here and there. */
#ifndef RESNETC_RUNTIME_PREPROCESS_H
#define RESNETC_RUNTIME_PREPROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "description.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { rn_preprocess_ok = 0, rn_preprocess_size = 1, rn_preprocess_memory = 2 };

/* rgb: height rows of width 8-bit RGB pixels, row_bytes apart. input: C x H x W float32 of the net.
   Returns rn_preprocess_size if the result is not input_height x input_width, which can only happen without a crop, or
   to an image without pixels or with rows that overlap, which becomes 0 x 0; then *result_height and *result_width (may
   be NULL) say what it would be. Frees all it allocates. */
int rn_preprocess_image(const rn_preprocess* how, const uint8_t* rgb, int width, int height, size_t row_bytes,
                        int input_height, int input_width, float* input, int* result_height, int* result_width);

/* The same for an image that comes row by row, from the top: memory follows its width and the input's size, not its
   height. Sets *resampling if the result is rn_preprocess_ok; the input is done after the last row. */
typedef struct rn_resampling rn_resampling;
int rn_preprocess_begin(rn_resampling** resampling, const rn_preprocess* how, int width, int height, int input_height,
                        int input_width, float* input, int* result_height, int* result_width);
/* Rows beyond the last are ignored. */
void rn_preprocess_row(rn_resampling* resampling, const uint8_t* rgb);
/* Frees it; NULL is fine. */
void rn_preprocess_end(rn_resampling* resampling);

#ifdef __cplusplus
}
#endif
#endif
