// Candidates of conv2d_max_pool equal the reference evaluator, exactly, on integers.
#include <doctest/doctest.h>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("convolution with max pool equals the reference") {
  const MaxPool pool{{3, 3}, {2, 2}, all_sides(1)};
  std::vector<ConvCase> cases;
  cases.push_back(
      {32, 30, 3, 16, {7, 7}, {{2, 2}, {1, 1}, all_sides(3), 1, {Relu{}, pool}}, all_sides(3), all_sides(1)});
  cases.push_back({9, 13, 5, 11, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, {Add{}, pool}}, all_sides(1), {}});
  cases.push_back({10, 9, 3, 8, {3, 3}, {{2, 2}, {1, 1}, all_sides(1), 1, {Relu{6}, pool}}, all_sides(1)});
  cases.push_back({8, 8, 4, 8, {1, 1}, {{1, 1}, {1, 1}, {}, 1, {MaxPool{{2, 3}, {2, 1}, {0, 1, 1, 0}}}}});
  for (const char* target : {"host", "x86-64-linux-sse41"})
    for (const ConvCase& c : cases)
      check_all_candidates(conv_key(c), "conv2d_max_pool", target, std::string(target) == "host" ? 3 : 1);
}
