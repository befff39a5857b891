// The constants of the transforms of stride 2, derived from their points in exact arithmetic.
#include "schedules/winograd_phase_transforms.h"

#include "tests/schedules/toom_cook.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

// Of F(m, 2), beside infinity.
Row points_of(int m) {
  const Row all = {{0, 1}, {1, 1}, {-1, 1}, {2, 1}};
  return {all.begin(), all.begin() + m};
}

size_t product_count(int m) {
  return static_cast<size_t>(2 * m + 1);
}

// The columns of a matrix that begin with the first-th, every other one.
Matrix every_other(const Matrix& a, size_t first) {
  Matrix result(a.size());
  for (size_t i = 0; i < a.size(); i++)
    for (size_t j = first; j < a[i].size(); j += 2) result[i].push_back(a[i][j]);
  return result;
}

}  // namespace

TEST_CASE("phase transforms: even inputs by Toom-Cook's F(m, 2)") {
  for (const int m : {2, 4}) {
    CAPTURE(m);
    const Matrix weight = matrix_of(phase_weight, m, 3), input = matrix_of(phase_input, m, product_count(m));
    const auto even = [m](Matrix a) {
      a.resize(static_cast<size_t>(m + 1));
      return a;
    };
    check_toom_cook(points_of(m), every_other(even(weight), 0), every_other(even(input), 0),
                    matrix_of(phase_output, m, static_cast<size_t>(m + 1)));
    for (const Row& row : every_other(even(weight), 1)) CHECK(row == Row(1));
    for (const Row& row : every_other(even(input), 1)) CHECK(row == Row(static_cast<size_t>(m)));
  }
}

// Products of the middle tap alone reach the outputs through the output transform of the others: what they take of the
// inputs is the inverse of its columns for the sums that they add to.
TEST_CASE("phase transforms: odd inputs by the inverse of the output transform") {
  for (const int m : {2, 4}) {
    CAPTURE(m);
    const std::vector<int> second = phase_second_products(m);
    const Matrix weight = matrix_of(phase_weight, m, 3), input = matrix_of(phase_input, m, product_count(m)),
                 columns = transposed(matrix_of(phase_output, m, static_cast<size_t>(m + 1)));
    REQUIRE(second.size() == columns.size());
    Matrix used;
    std::vector<size_t> products;
    for (size_t sum = 0; sum < second.size(); sum++) {
      if (second[sum] < 0) continue;
      used.push_back(columns[sum]);
      products.push_back(static_cast<size_t>(second[sum]));
    }
    const Matrix wanted = inverse(transposed(used)), odd = every_other(input, 1), even = every_other(input, 0);
    REQUIRE(wanted.size() == static_cast<size_t>(m));
    for (size_t i = 0; i < products.size(); i++) {
      CHECK(products[i] > static_cast<size_t>(m));
      CHECK(odd.at(products[i]) == wanted[i]);
      CHECK(even.at(products[i]) == Row(static_cast<size_t>(m + 1)));
      CHECK(weight.at(products[i]) == unit(3, 1));
    }
  }
}

TEST_CASE("phase transforms: three taps of stride 2, exactly") {
  for (const int m : {2, 4})
    for (size_t k = 0; k < 3; k++)
      for (size_t i = 0; i < product_count(m); i++) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(i);
        const Row weight = phase_weight(m, unit(3, k)), input = phase_input(m, unit(product_count(m), i));
        const std::vector<int> second = phase_second_products(m);
        Row sums;
        for (size_t s = 0; s < second.size(); s++) {
          sums.push_back(weight[s] * input[s]);
          const auto other = static_cast<size_t>(std::max(second[s], 0));
          if (second[s] >= 0) sums.back() = sums.back() + weight[other] * input[other];
        }
        const Row y = phase_output(m, sums);
        REQUIRE(y.size() == static_cast<size_t>(m));
        for (size_t j = 0; j < y.size(); j++) CHECK(y[j] == Rational(2 * j + k == i, 1));
      }
}
