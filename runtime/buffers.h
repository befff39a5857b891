/* Halide's view of a net's tensors: what the CPU's memory and a device's have in common. */
#ifndef RESNETC_RUNTIME_BUFFERS_H
#define RESNETC_RUNTIME_BUFFERS_H

#include <HalideRuntime.h>

#include "arena.h"

namespace resnetc::runtime {

/* extent[0] innermost. Sets neither type nor memory. */
inline void describe_dense(const int* extent, int dimensions, halide_buffer_t* buffer, halide_dimension_t* dim) {
  int stride = 1;
  for (int d = 0; d < dimensions; d++) {
    dim[d] = {0, extent[d], stride, 0};
    stride *= extent[d];
  }
  buffer->dimensions = dimensions;
}

/* One image as (c, x, y, n), with its border: 0 is the first pixel inside. */
inline void describe_bordered(const rn_tensor& t, halide_dimension_t* dim) {
  const int c = t.channels, columns = static_cast<int>(columns_of(t)), rows = static_cast<int>(rows_of(t));
  dim[0] = {0, c, 1, 0};
  dim[1] = {-t.border_left, columns, c, 0};
  dim[2] = {-t.border_top, rows, columns * c, 0};
  dim[3] = {0, 1, rows * columns * c, 0};
}

}  // namespace resnetc::runtime

#endif
