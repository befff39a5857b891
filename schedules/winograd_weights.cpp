#include "schedules/winograd_weights.h"

#include <algorithm>

#include "schedules/winograd_transforms.h"

namespace resnetc {

std::vector<float> transformed_weights(const std::vector<float>& weights, int m, int blocks) {
  const auto block_count = static_cast<size_t>(blocks), size = static_cast<size_t>(m + 2);
  const size_t plane = weights.size() / block_count / 9;
  std::vector<float> packed(block_count * size * size * plane);
  // The transform of a row of three, by its columns: ResNet-1202 has two million 3x3 weights to transform.
  std::vector<std::vector<double>> column;
  for (size_t k = 0; k < 3; k++) {
    std::vector<double> unit(3, 0.0);
    unit[k] = 1;
    column.push_back(winograd_weight(m, unit));
  }
  const auto transformed = [&](const double* row, size_t i) {
    return row[0] * column[0][i] + row[1] * column[1][i] + row[2] * column[2][i];
  };
  for (size_t b = 0; b < block_count; b++)
    for (size_t at = 0; at < plane; at++) {
      double weight[3][3];  // [kx][ky]
      for (size_t kx = 0; kx < 3; kx++)
        for (size_t ky = 0; ky < 3; ky++) weight[kx][ky] = weights[((b * 3 + ky) * 3 + kx) * plane + at];
      for (size_t i = 0; i < size; i++) {
        const double half[3] = {transformed(weight[0], i), transformed(weight[1], i), transformed(weight[2], i)};
        for (size_t j = 0; j < size; j++)
          packed[(b * size * size + i * size + j) * plane + at] = static_cast<float>(transformed(half, j));
      }
    }
  return packed;
}

std::vector<float> weights_by_channel(const std::vector<float>& weights, int block, int blocks) {
  const auto row = static_cast<size_t>(block), block_count = static_cast<size_t>(blocks);
  const size_t plane = weights.size() / block_count / 9;
  std::vector<float> packed(weights.size());
  auto to = packed.begin();
  for (size_t b = 0; b < block_count; b++)
    for (size_t at = 0; at < plane; at += row)
      for (size_t tap = 0; tap < 9; tap++)
        to = std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>((b * 9 + tap) * plane + at), row, to);
  return packed;
}

}  // namespace resnetc
