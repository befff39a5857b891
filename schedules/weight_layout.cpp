#include "schedules/weight_layout.h"

#include <bit>

#include "ir/bf16.h"
#include "schedules/operands.h"

namespace resnetc {

std::vector<int> WeightLayout::stored_extent() const {
  std::vector<int> result = extent;
  if (pairs_vectors()) result[0] /= 2;
  if (pairs_input_channels()) result[1] = blocks(result[1], 2);
  return result;
}

int64_t WeightLayout::stored_lanes() const {
  int64_t result = 1;
  for (int e : stored_extent()) result *= e;
  return result;
}

PackedWeight WeightLayout::stored(PackedWeight plain) const {
  if (dtype == DType::f32) return plain;
  const auto row = static_cast<size_t>(extent[0]), channels = static_cast<size_t>(extent[1]),
             vector = static_cast<size_t>(lanes);
  PackedWeight result{stored_extent(), std::vector<float>(static_cast<size_t>(stored_lanes()), 0.0f)};
  const float* from = plain.values.data();
  float* to = result.values.data();
  const auto pair = [](float lower, float upper) {
    return std::bit_cast<float>(uint32_t{to_bf16(upper)} << 16 | to_bf16(lower));
  };
  for (size_t rest = 0; rest < plain.values.size() / (row * channels); rest++) {
    for (size_t channel = 0; channel < channels; channel += pairs_vectors() ? 1 : 2) {
      if (pairs_vectors()) {
        for (size_t c = 0; c < row; c += 2 * vector)
          for (size_t lane = 0; lane < vector; lane++) *to++ = pair(from[c + lane], from[c + vector + lane]);
        from += row;
      } else {
        const bool last = channel + 1 == channels;
        for (size_t c = 0; c < row; c++) *to++ = pair(from[c], last ? 0.0f : from[row + c]);
        from += last ? row : 2 * row;
      }
    }
  }
  return result;
}

StoredWeight::StoredWeight(WeightLayout weight_layout, const std::string& name)
    : layout(std::move(weight_layout)), param(weight_param(layout.stored_extent(), name)) {}

Halide::Expr StoredWeight::at(std::vector<Halide::Expr> index) const {
  if (layout.dtype == DType::f32) return param(index);
  Halide::Expr upper;  // 1: the upper half of the lane
  if (layout.pairs_vectors()) {
    const Halide::Expr c = index[0];
    upper = c / layout.lanes % 2;
    index[0] = c / (2 * layout.lanes) * layout.lanes + c % layout.lanes;
  } else {
    upper = index[1] % 2;
    index[1] = index[1] / 2;
  }
  const Halide::Expr bits = Halide::reinterpret<uint32_t>(param(index));
  const Halide::Expr shift = Halide::cast<uint32_t>(16 - 16 * upper);
  return Halide::reinterpret<float>((bits << shift) & Halide::Expr(uint32_t{0xffff0000}));
}

}  // namespace resnetc
