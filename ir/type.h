// Tensor types: element type, dimensions and the zero border that a producer keeps around each image.
// Activations are NHWC with a run-time batch; convolution weights are OHWI, dense weights [out, in].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace resnetc {

// bf16 is a way to store a weight of a convolution or a dense layer: arithmetic widens it, exactly, to f32.
enum class DType { f32, bf16 };

inline std::string to_string(DType dtype) {
  return dtype == DType::f32 ? "f32" : "bf16";
}
inline size_t element_bytes(DType dtype) {
  return dtype == DType::bf16 ? 2 : 4;
}

// Height and width, in that order everywhere.
struct Hw {
  int h = 1;
  int w = 1;
  bool operator==(const Hw&) const = default;
};

// A width in pixels on each side of an image: a padding or a border.
struct Sides {
  int top = 0;
  int left = 0;
  int bottom = 0;
  int right = 0;
  bool operator==(const Sides&) const = default;
};

inline Sides all_sides(int width) {
  return {width, width, width, width};
}

// The first dimension of every activation: the batch, known at run time only. Printed as n.
inline constexpr int batch_dimension = -1;

struct TensorType {
  DType dtype = DType::f32;
  std::vector<int> dims;  // [n, h, w, c], [n, c] or the dimensions of a weight
  Sides border;           // of zeros, stored around each image of a [n, h, w, c] activation
  bool operator==(const TensorType&) const = default;

  bool is_image() const { return dims.size() == 4 && dims[0] == batch_dimension; }
  bool is_activation() const { return !dims.empty() && dims[0] == batch_dimension; }
  int height() const { return dims[1]; }
  int width() const { return dims[2]; }
  int channels() const { return dims.back(); }
};

inline TensorType image_type(int height, int width, int channels) {
  return {DType::f32, {batch_dimension, height, width, channels}, {}};
}
inline TensorType vector_type(int channels) {
  return {DType::f32, {batch_dimension, channels}, {}};
}
inline TensorType weight_type(std::vector<int> dims, DType dtype = DType::f32) {
  return {dtype, std::move(dims), {}};
}

// Elements of one image (the batch counted once), without and with the border.
int64_t element_count(const TensorType& type);
int64_t stored_element_count(const TensorType& type);

// Prints "f32[n,56,56,64] border=1".
std::string to_string(const TensorType& type);

}  // namespace resnetc
