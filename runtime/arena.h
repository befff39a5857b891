/* Sizes of a net's tensors, and where they lie in the arena. */
#ifndef RESNETC_RUNTIME_ARENA_H
#define RESNETC_RUNTIME_ARENA_H

#include <stddef.h>

#include "description.h"

namespace resnetc::runtime {

/* Of one image, its border included. */
inline size_t columns_of(const rn_tensor& t) {
  return static_cast<size_t>(t.border_left + t.width + t.border_right);
}
inline size_t rows_of(const rn_tensor& t) {
  return static_cast<size_t>(t.border_top + t.height + t.border_bottom);
}
inline size_t image_floats(const rn_tensor& t) {
  return rows_of(t) * columns_of(t) * static_cast<size_t>(t.channels);
}

inline bool has_tail(const rn_description& d) {
  return d.tail_step < d.step_count;
}

/* Whether it lies in the tail's part of the arena. */
inline bool is_in_tail(const rn_description& d, const rn_tensor& t) {
  return has_tail(d) && t.offset >= d.head.arena_bytes_per_image;
}

/* Where a tensor of the tail starts, in bytes, in the tail's part for so many images. */
inline size_t tail_offset(const rn_description& d, const rn_tensor& t, int tail_images) {
  return (t.offset - d.head.arena_bytes_per_image) * static_cast<size_t>(tail_images);
}

/* Where a tensor starts, in bytes, in an arena for so many images of the head and of the tail. */
inline size_t arena_offset(const rn_description& d, const rn_tensor& t, int head_images, int tail_images) {
  if (!is_in_tail(d, t)) return t.offset * static_cast<size_t>(head_images);
  return d.head.arena_bytes_per_image * static_cast<size_t>(head_images) + tail_offset(d, t, tail_images);
}

/* Of the caller's tensors, one image. */
inline size_t input_floats(const rn_description& d) {
  return static_cast<size_t>(d.channels) * static_cast<size_t>(d.height) * static_cast<size_t>(d.width);
}
inline size_t output_floats(const rn_description& d) {
  return static_cast<size_t>(d.output_channels) * static_cast<size_t>(d.output_height) *
         static_cast<size_t>(d.output_width);
}

}  // namespace resnetc::runtime

#endif
