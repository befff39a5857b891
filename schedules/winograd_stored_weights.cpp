#include "schedules/winograd_stored_weights.h"

#include "schedules/winograd_transforms.h"

namespace resnetc {

std::vector<float> winograd_stored_weights(int m, const std::vector<float>& plain, size_t plane) {
  const auto size = static_cast<size_t>(m) + 2, block_count = plain.size() / (9 * plane);
  std::vector<float> stored(block_count * size * size * plane);
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
        for (size_t ky = 0; ky < 3; ky++) weight[kx][ky] = plain[((b * 3 + ky) * 3 + kx) * plane + at];
      for (size_t i = 0; i < size; i++) {
        const double half[3] = {transformed(weight[0], i), transformed(weight[1], i), transformed(weight[2], i)};
        for (size_t j = 0; j < size; j++)
          stored[((b * size + i) * size + j) * plane + at] = static_cast<float>(transformed(half, j));
      }
    }
  return stored;
}

}  // namespace resnetc
