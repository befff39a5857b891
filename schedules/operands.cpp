#include "schedules/operands.h"

namespace resnetc {
namespace {

// Sizes, but for the batch, and strides are constants of the kernel. `border` says how far indices reach out of the
// image.
template <class Param>
void bound_activation(Param& param, const TensorType& type, const Sides& border) {
  if (type.is_image()) {
    const int columns = type.border.left + type.width() + type.border.right;
    const int rows = type.border.top + type.height() + type.border.bottom;
    param.dim(0).set_bounds(0, type.channels()).set_stride(1);
    param.dim(1).set_bounds(-border.left, border.left + type.width() + border.right).set_stride(type.channels());
    param.dim(2)
        .set_bounds(-border.top, border.top + type.height() + border.bottom)
        .set_stride(columns * type.channels());
    param.dim(3).set_min(0).set_stride(rows * columns * type.channels());
  } else {
    param.dim(0).set_bounds(0, type.channels()).set_stride(1);
    param.dim(1).set_min(0).set_stride(type.channels());
  }
}

template <class Param>
void bound_caller(Param& param, const TensorType& type) {
  param.dim(0).set_bounds(0, type.width()).set_stride(1);
  param.dim(1).set_bounds(0, type.height()).set_stride(type.width());
  param.dim(2).set_bounds(0, type.channels()).set_stride(type.width() * type.height());
  param.dim(3).set_min(0).set_stride(type.width() * type.height() * type.channels());
}

}  // namespace

Halide::ImageParam activation_param(const TensorType& type, const std::string& name) {
  Halide::ImageParam param(Halide::Float(32), static_cast<int>(type.dims.size()), name);
  bound_activation(param, type, type.border);
  return param;
}

void bound_result(Halide::Func& result, const TensorType& type) {
  auto buffer = result.output_buffer();
  bound_activation(buffer, type, {});
}

void bound_bordered_result(Halide::Func& result, const TensorType& type) {
  auto buffer = result.output_buffer();
  bound_activation(buffer, type, type.border);
}

Halide::ImageParam weight_param(const std::vector<int>& extent, const std::string& name) {
  Halide::ImageParam param(Halide::Float(32), static_cast<int>(extent.size()), name);
  int stride = 1;
  for (size_t d = 0; d < extent.size(); d++) {
    param.dim(static_cast<int>(d)).set_bounds(0, extent[d]).set_stride(stride);
    stride *= extent[d];
  }
  param.set_host_alignment(64);
  return param;
}

Halide::ImageParam caller_param(const TensorType& type, const std::string& name) {
  Halide::ImageParam param(Halide::Float(32), 4, name);
  bound_caller(param, type);
  return param;
}

void bound_caller_result(Halide::Func& result, const TensorType& type) {
  auto buffer = result.output_buffer();
  bound_caller(buffer, type);
}

PackedWeight padded_vector(const std::vector<float>& values, int extent) {
  PackedWeight packed{{extent}, values};
  packed.values.resize(static_cast<size_t>(extent), 0.0f);
  return packed;
}

}  // namespace resnetc
