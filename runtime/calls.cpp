#include "calls.h"

#include <string.h>

#include "buffers.h"

namespace resnetc::runtime {
namespace {

// image: of those that its part takes together.
float* tensor_start(const Calls& calls, const rn_tensor& t, int image) {
  const rn_description& d = *calls.description;
  unsigned char* start = is_in_tail(d, t) ? calls.tail + tail_offset(d, t, calls.tail_images)
                                          : calls.head + t.offset * static_cast<size_t>(calls.head_images);
  return reinterpret_cast<float*>(start) + image_floats(t) * static_cast<size_t>(image);
}

// A result is written inside the border only, an operand is read with it.
uint8_t* first_pixel(const Calls& calls, const rn_tensor& t, bool is_result, int image) {
  float* start = tensor_start(calls, t, image);
  if (is_result)
    start += (static_cast<size_t>(t.border_top) * columns_of(t) + static_cast<size_t>(t.border_left)) *
             static_cast<size_t>(t.channels);
  return reinterpret_cast<uint8_t*>(start);
}

// Images are (c, x, y, n).
void describe_tensor(const Calls& calls, const rn_tensor& t, bool is_result, halide_buffer_t* buffer,
                     halide_dimension_t* dim) {
  describe_bordered(t, dim);
  if (is_result) {
    dim[1].min = dim[2].min = 0;
    dim[1].extent = t.width;
    dim[2].extent = t.height;
  }
  // A vector [n, c] is stored as an image of one pixel; its kernels see (c, n).
  buffer->dimensions = 4;
  buffer->host = first_pixel(calls, t, is_result, 0);
}

}  // namespace

void describe_calls(Calls* calls, void** user_context) {
  const rn_description& d = *calls->description;
  for (uint32_t s = 0; s < calls->step_count; s++) {
    const rn_step& step = d.steps[s];
    Call& call = calls->steps[s];
    call.arguments[0] = user_context;
    for (uint32_t i = 0; i < step.operand_count; i++) {
      halide_buffer_t* buffer = &call.buffers[i];
      halide_dimension_t* dim = call.dimensions[i];
      call.arguments[i + 1] = buffer;
      buffer->type = halide_type_t(halide_type_float, 32, 1);
      buffer->dim = dim;
      const rn_operand& operand = step.operands[i];
      if (operand.kind == rn_operand_tensor) {
        describe_tensor(*calls, d.tensors[operand.index], i + 1 == step.operand_count, buffer, dim);
        if (d.tensors[operand.index].is_vector) {
          dim[1] = dim[3];
          buffer->dimensions = 2;
        }
      } else if (operand.kind == rn_operand_weight) {
        const rn_weight& weight = d.weights[operand.index];
        describe_dense(weight.extent, weight.dimensions, buffer, dim);
        buffer->host = const_cast<uint8_t*>(d.weight_blob) + weight.offset;
      } else if (operand.kind == rn_operand_input) {
        const int extent[] = {d.width, d.height, d.channels, 1};
        describe_dense(extent, 4, buffer, dim);
      } else if (d.has_head) {
        const int extent[] = {d.output_channels, 1};
        describe_dense(extent, 2, buffer, dim);
      } else {
        const int extent[] = {d.output_width, d.output_height, d.output_channels, 1};
        describe_dense(extent, 4, buffer, dim);
      }
    }
  }
}

void set_batch(Calls* calls, uint32_t first, uint32_t last, int batch, int* batch_now) {
  if (*batch_now == batch) return;
  *batch_now = batch;
  for (uint32_t s = first; s < last; s++) {
    const rn_step& step = calls->description->steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      halide_buffer_t& buffer = calls->steps[s].buffers[i];
      if (step.operands[i].kind != rn_operand_weight) buffer.dim[buffer.dimensions - 1].extent = batch;
    }
  }
}

void set_image(Calls* calls, int image) {
  const rn_description& d = *calls->description;
  for (uint32_t s = 0; s < d.tail_step; s++) {
    const rn_step& step = d.steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      if (step.operands[i].kind != rn_operand_tensor) continue;
      const rn_tensor& t = d.tensors[step.operands[i].index];
      if (is_in_tail(d, t))
        calls->steps[s].buffers[i].host = first_pixel(*calls, t, i + 1 == step.operand_count, image);
    }
  }
}

void clear_border(const Calls& calls, const rn_tensor& t, int first, int batch) {
  const size_t pixel = static_cast<size_t>(t.channels), row = columns_of(t) * pixel;
  const size_t top = static_cast<size_t>(t.border_top) * row, bottom = static_cast<size_t>(t.border_bottom) * row;
  const size_t left = static_cast<size_t>(t.border_left) * pixel, right = static_cast<size_t>(t.border_right) * pixel;
  float* image = tensor_start(calls, t, first);
  for (int n = 0; n < batch; n++, image += image_floats(t)) {
    memset(image, 0, (top + left) * sizeof(float));
    // The right border of a row and the left one of the next lie side by side.
    float* edge = image + top + row - right;
    for (int y = 1; y < t.height; y++, edge += row) memset(edge, 0, (right + left) * sizeof(float));
    memset(edge, 0, (right + bottom) * sizeof(float));
  }
}

}  // namespace resnetc::runtime
