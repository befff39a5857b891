// Toom-Cook's matrices in rational numbers, of which the transforms of winograd_transforms.h and
// winograd_phase_transforms.h are made.
//
// The product s of polynomials g (r coefficients) and h (m) has n = m + r - 1 coefficients. At n points, one of which
// may be infinity, s = V^-1 (E_r g * E_m h), element by element; E_k evaluates k coefficients at the points, V = E_n.
// So for any d: sum_jk h_j g_k d_(j+k) = d . s = (V^-T d * E_r g) . E_m h, and as that holds for every h, the filter
// y_j = sum_k g_k d_(j+k) is y = E_m^T (E_r g * V^-T d): n products for m outputs. Where one matrix has a row, or E_m^T
// a column, scaled, another has it scaled back.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace resnetc::test {

struct Rational {
  int64_t numerator = 0, denominator = 1;

  Rational() = default;
  Rational(int64_t n, int64_t d) {
    const int64_t common = std::gcd(n, d) * (d < 0 ? -1 : 1);
    numerator = n / common, denominator = d / common;
  }
  // What a constant of a transform stands for: the fraction of the least denominator that rounds to it.
  explicit Rational(float value) {
    for (denominator = 1; denominator <= 1000; denominator++) {
      const auto d = static_cast<double>(denominator);
      numerator = std::llround(value * d);
      if (static_cast<float>(static_cast<double>(numerator) / d) == value) return;
    }
    throw std::logic_error("no fraction of a small denominator");
  }
  bool operator==(const Rational&) const = default;
};

inline Rational operator+(const Rational& a, const Rational& b) {
  return {a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator};
}
inline Rational operator*(const Rational& a, const Rational& b) {
  return {a.numerator * b.numerator, a.denominator * b.denominator};
}
inline Rational operator-(const Rational& a, const Rational& b) {
  return a + Rational(-1, 1) * b;
}
inline Rational operator/(const Rational& a, const Rational& b) {
  return a * Rational(b.denominator, b.numerator);
}

using Row = std::vector<Rational>;
using Matrix = std::vector<Row>;

inline Row unit(size_t size, size_t at) {
  Row row(size);
  row[at] = {1, 1};
  return row;
}

inline Matrix transposed(const Matrix& a) {
  Matrix result(a.front().size(), Row(a.size()));
  for (size_t i = 0; i < a.size(); i++)
    for (size_t j = 0; j < a[i].size(); j++) result[j][i] = a[i][j];
  return result;
}

// By Gauss and Jordan.
inline Matrix inverse(Matrix a) {
  const size_t n = a.size();
  for (size_t i = 0; i < n; i++) {
    const Row row = unit(n, i);
    a[i].insert(a[i].end(), row.begin(), row.end());
  }
  for (size_t column = 0; column < n; column++) {
    size_t pivot = column;
    while (pivot < n && a[pivot][column] == Rational()) pivot++;
    if (pivot == n) throw std::logic_error("a singular matrix");
    std::swap(a[pivot], a[column]);
    const Rational first = a[column][column];
    for (Rational& v : a[column]) v = v / first;
    for (size_t row = 0; row < n; row++) {
      const Rational factor = a[row][column];
      for (size_t j = 0; row != column && j < 2 * n; j++) a[row][j] = a[row][j] - factor * a[column][j];
    }
  }
  for (Row& row : a) row.erase(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(n));
  return a;
}

// E_size at these points and infinity, where the value is the last coefficient.
inline Matrix evaluation(const Row& points, size_t size) {
  Matrix result;
  for (const Rational& point : points) {
    Row row{{1, 1}};
    while (row.size() < size) row.push_back(row.back() * point);
    result.push_back(row);
  }
  result.push_back(unit(size, size - 1));
  return result;
}

// The matrix of a linear transform of so many values.
inline Matrix matrix_of(std::vector<Rational> (*transform)(int, const std::vector<Rational>&), int m, size_t size) {
  Matrix columns;
  for (size_t i = 0; i < size; i++) columns.push_back(transform(m, unit(size, i)));
  return transposed(columns);
}

// The factor of which `row` is the multiple of `of`; fails if there is none.
inline Rational scale(const Row& row, const Row& of) {
  REQUIRE(row.size() == of.size());
  Rational factor;
  for (size_t i = 0; i < of.size(); i++)
    if (of[i] != Rational()) factor = row[i] / of[i];
  CHECK(factor != Rational());
  for (size_t i = 0; i < of.size(); i++) CHECK(row[i] == factor * of[i]);
  return factor;
}

// That the three matrices, without their scales, are those of the points, and that the scales cancel.
inline void check_toom_cook(const Row& points, const Matrix& weight, const Matrix& input, const Matrix& output) {
  const size_t n = points.size() + 1, m = output.size(), r = n + 1 - m;
  const Matrix of_weight = evaluation(points, r), of_input = transposed(inverse(evaluation(points, n))),
               of_output = evaluation(points, m), columns = transposed(output);
  for (size_t i = 0; i < n; i++) {
    CAPTURE(i);
    const Rational product =
        scale(weight[i], of_weight[i]) * scale(input[i], of_input[i]) * scale(columns[i], of_output[i]);
    CHECK(product == Rational(1, 1));
  }
}

}  // namespace resnetc::test
