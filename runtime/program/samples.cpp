#include "samples.h"

#include <algorithm>
#include <cmath>

namespace resnetc::program {

void Samples::add(const double* row) {
  if (added_++ % stride_ != 0) return;
  kept_.insert(kept_.end(), row, row + columns_);
  if (rows() < max_rows_) return;
  const std::size_t half = max_rows_ / 2;
  for (std::size_t i = 0; i < half; i++) std::copy_n(&kept_[2 * i * columns_], columns_, &kept_[i * columns_]);
  kept_.resize(half * columns_);
  stride_ *= 2;
}

std::vector<float> Samples::values(const std::vector<std::size_t>& columns) const {
  std::vector<float> result;
  result.reserve(rows() * columns.size());
  for (std::size_t i = 0; i < rows(); i++) {
    for (const std::size_t column : columns) result.push_back(row(i)[column]);
  }
  return result;
}

double quantile(std::vector<float> values, double part) {
  const auto rank = std::lround(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<std::size_t>(rank)];
}

}  // namespace resnetc::program
