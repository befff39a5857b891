#include "compiler/tune/kernel_data.h"

#include <HalideRuntime.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/bf16.h"

namespace resnetc {
namespace {

// Uniform in [-1, 1), a fixed function of the seed.
std::vector<float> random_values(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return values;
}

struct Extents {
  int64_t row, image;  // floats
};
Extents extents(const TensorType& type) {
  if (!type.is_image()) return {type.channels(), type.channels()};
  const int64_t row = int64_t{type.border.left + type.width() + type.border.right} * type.channels();
  return {row, row * (type.border.top + type.height() + type.border.bottom)};
}

// Floats from the start of an image to its first pixel inside the border.
int64_t origin(const TensorType& type) {
  return type.is_image() ? type.border.top * extents(type).row + int64_t{type.border.left} * type.channels() : 0;
}

// The interior of one image, between dense and bordered form.
template <class Copy>
void for_each_row(const TensorType& type, int batch, Copy&& copy) {
  const int64_t height = type.is_image() ? type.height() : 1,
                width = int64_t{type.is_image() ? type.width() : 1} * type.channels();
  for (int n = 0; n < batch; n++)
    for (int64_t y = 0; y < height; y++)
      copy((n * height + y) * width, n * extents(type).image + origin(type) + y * extents(type).row, width);
}

Tensor dense_tensor(const TensorType& type, int batch, std::vector<float> values) {
  Tensor tensor{type.dims, std::move(values)};
  if (type.is_activation()) tensor.dims[0] = batch;
  return tensor;
}

}  // namespace

int64_t stored_floats(const TensorType& type) {
  return extents(type).image;
}

void describe_activation(const TensorType& type, int first, int batch, bool with_border, float* start,
                         halide_buffer_t& buffer, halide_dimension_t* dim) {
  const auto [row, image] = extents(type);
  dim[0] = {0, type.channels(), 1, 0};
  if (type.is_image() && !with_border) {
    start += origin(type);
    dim[1] = {0, type.width(), type.channels(), 0};
    dim[2] = {0, type.height(), static_cast<int>(row), 0};
  } else if (type.is_image()) {
    dim[1] = {-type.border.left, static_cast<int>(row) / type.channels(), type.channels(), 0};
    dim[2] = {-type.border.top, static_cast<int>(image / row), static_cast<int>(row), 0};
  }
  buffer.type = halide_type_t(halide_type_float, 32, 1);
  buffer.dim = dim;
  buffer.dimensions = type.is_image() ? 4 : 2;
  dim[buffer.dimensions - 1] = {first, batch, static_cast<int>(image), 0};
  buffer.host = reinterpret_cast<uint8_t*>(start);
}

void describe_weight(const std::vector<int>& extent, float* start, halide_buffer_t& buffer, halide_dimension_t* dim) {
  int stride = 1;
  for (size_t d = 0; d < extent.size(); d++) {
    dim[d] = {0, extent[d], stride, 0};
    stride *= extent[d];
  }
  buffer.type = halide_type_t(halide_type_float, 32, 1);
  buffer.dim = dim;
  buffer.dimensions = static_cast<int>(extent.size());
  buffer.host = reinterpret_cast<uint8_t*>(start);
}

KernelData::KernelData(const KernelKey& of, int images, int threads) : key(of), batch(images) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < key.operands.size(); i++) {
    const TensorType& type = key.operands[i];
    const bool is_activation = type.is_activation();
    const size_t count = static_cast<size_t>(element_count(type)) * (is_activation ? static_cast<size_t>(batch) : 1);
    tensors.push_back(dense_tensor(type, batch, random_values(count, static_cast<uint32_t>(i) + 1)));
    weights.emplace_back();
    activations.emplace_back();
    if (!is_activation) {
      if (type.dtype == DType::bf16) round_to_bf16(tensors.back().values);
      weights.back() = tensors.back().values;
      continue;
    }
    activations.back().resize(static_cast<size_t>(extents(type).image * batch));
    for_each_row(type, batch, [&](int64_t plain, int64_t bordered, int64_t count_of_row) {
      std::copy_n(tensors.back().values.begin() + plain, count_of_row, activations.back().begin() + bordered);
    });
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : tensors) pointers.push_back(&tensor);
  expected_ = evaluate_op(key.op, pointers, threads);
  result.resize(static_cast<size_t>(extents(key.result).image * batch));
}

void KernelData::spoil_result(const TensorType& type) {
  std::fill(result.begin(), result.end(), 0.0f);
  for_each_row(type, batch, [&](int64_t, int64_t bordered, int64_t count) {
    std::fill_n(result.begin() + bordered, count, std::nanf(""));
  });
}

std::string KernelData::problem_of_result(const TensorType& type) const {
  // Float32 sums in another order, and Winograd's transforms, stay far below; a wrong kernel does not.
  constexpr double bound = 1e-4;
  double largest = 0, difference = 0;
  bool finite = true, border_is_zero = true;
  size_t next = 0;  // of the result, behind what was looked at
  const auto check_border = [&](size_t end) {
    for (; next < end; next++) border_is_zero = border_is_zero && result[next] == 0;
  };
  for_each_row(type, batch, [&](int64_t plain, int64_t bordered, int64_t count) {
    check_border(static_cast<size_t>(bordered));
    for (int64_t i = 0; i < count; i++) {
      const float value = result[next++];
      const double expected = expected_.values[static_cast<size_t>(plain + i)];
      largest = std::max(largest, std::abs(expected));
      difference = std::max(difference, std::abs(value - expected));
      finite = finite && std::isfinite(value);
    }
  });
  check_border(static_cast<size_t>(stored_floats(type) * batch));
  if (!finite) return "wrong result: not all values are written or finite";
  if (difference > bound * largest)
    return fmt::format("wrong result: off by {:.2e} of the largest value", difference / largest);
  return border_is_zero ? "" : "wrong result: it writes to the border";
}

}  // namespace resnetc
