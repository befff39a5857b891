// Helpers that the strategies share: Halide parameters for operands with all static sizes and strides spelled out.
#pragma once

#include <Halide.h>

#include <string>

#include "schedules/key.h"
#include "schedules/strategy.h"

namespace resnetc {

// An image as (c, x, y, n) or a vector as (c, n). Reading outside [0, extent) reaches the border.
Halide::ImageParam activation_param(const TensorType& type, const std::string& name);

// Spells out the sizes and strides of the pipeline's result.
void bound_result(Halide::Func& result, const TensorType& type);

// The same of a result whose memory is given with its border.
void bound_bordered_result(Halide::Func& result, const TensorType& type);

// A packed weight of that shape.
Halide::ImageParam weight_param(const std::vector<int>& extent, const std::string& name);

// The caller's N x C x H x W tensor as (x, y, c, n).
Halide::ImageParam caller_param(const TensorType& type, const std::string& name);
void bound_caller_result(Halide::Func& result, const TensorType& type);

// Values padded with zeros to extent floats.
PackedWeight padded_vector(const std::vector<float>& values, int extent);

inline int blocks(int size, int block) {
  return (size + block - 1) / block;
}
inline int round_up(int size, int block) {
  return blocks(size, block) * block;
}

}  // namespace resnetc
