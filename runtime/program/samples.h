// Times of many runs, a bounded number of them however many are added.
#ifndef RESNETC_RUNTIME_PROGRAM_SAMPLES_H
#define RESNETC_RUNTIME_PROGRAM_SAMPLES_H

#include <cstddef>
#include <vector>

namespace resnetc::program {

// A row of `columns` numbers for each run. When max_rows (at least 2) are kept, every other one goes, and from then on
// only every other one is taken.
class Samples {
 public:
  Samples(std::size_t columns, std::size_t max_rows) : columns_(columns), max_rows_(max_rows) {}

  void add(const double* row);

  std::size_t added() const { return added_; }
  std::size_t rows() const { return columns_ == 0 ? 0 : kept_.size() / columns_; }
  const float* row(std::size_t index) const { return &kept_[index * columns_]; }

  // The values of these columns in all rows that are kept.
  std::vector<float> values(const std::vector<std::size_t>& columns) const;

 private:
  std::size_t columns_, max_rows_;
  std::vector<float> kept_;
  std::size_t added_ = 0, stride_ = 1;
};

// The smallest of the values that this part of them, 0 to 1, does not exceed. There must be at least one.
double quantile(std::vector<float> values, double part);

}  // namespace resnetc::program

#endif
