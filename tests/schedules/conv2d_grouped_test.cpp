// Candidates of conv2d_grouped, and of conv2d_direct where it does not apply, equal the reference evaluator, exactly,
// on integers.
#include <doctest/doctest.h>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("grouped convolution equals the reference on odd shapes") {
  const auto grouped = [](int groups, Hw stride = {1, 1}) {
    return Conv2d{stride, {1, 1}, all_sides(1), groups, relu};
  };
  std::vector<ConvCase> cases;
  cases.push_back({7, 13, 32, 32, {3, 3}, grouped(8), all_sides(1), all_sides(1)});
  cases.push_back({6, 23, 32, 32, {3, 3}, grouped(4, {2, 2}), all_sides(1), all_sides(1)});
  // Channels that are no multiple of the lanes; more, or fewer, channels out of a group than into it; depthwise.
  cases.push_back({5, 11, 20, 20, {3, 3}, grouped(5, {1, 2}), all_sides(1)});
  cases.push_back({5, 3, 14, 28, {3, 3}, grouped(7), all_sides(2), all_sides(1)});
  cases.push_back({4, 9, 36, 18, {3, 3}, grouped(9), all_sides(1)});
  cases.push_back({9, 10, 19, 19, {3, 3}, grouped(19), all_sides(1)});
  cases.push_back({8, 9, 24, 24, {1, 1}, {{1, 1}, {1, 1}, {}, 6, {}}, {}, {}, {}, {}, false});
  cases.push_back({5, 12, 32, 32, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 8, {Relu{6}}}, all_sides(1), all_sides(1)});
  cases.push_back(
      {8, 11, 24, 24, {5, 3}, {{1, 1}, {2, 2}, {4, 2, 4, 2}, 3, add_relu}, {4, 2, 4, 2}, all_sides(1), all_sides(1)});
  for (const char* target : {"host", "x86-64-linux-sse41", "x86-64-linux-avx2-fma"})
    for (const ConvCase& c : cases) {
      const KernelKey key = conv_key(c);
      const bool applies = strategy_named("conv2d_grouped").applies(key, machine_for(target, 2));
      check_all_candidates(key, applies ? "conv2d_grouped" : "conv2d_direct", target,
                           std::string(target) == "host" ? 2 : 1);
    }
  const auto strategy = [&](const ConvCase& c) {
    return default_choice(conv_key(c), machine_for("x86-64-linux-avx2-fma", 2)).strategy;
  };
  // ResNeXt-50's narrow groups.
  CHECK(strategy({56, 56, 128, 128, {3, 3}, grouped(32), all_sides(1), all_sides(1)}) == "conv2d_grouped");
  CHECK(strategy({56, 56, 256, 256, {3, 3}, grouped(32, {2, 2}), all_sides(1), all_sides(1)}) == "conv2d_grouped");
  CHECK(strategy({28, 28, 256, 256, {3, 3}, grouped(32), all_sides(1), all_sides(1)}) == "conv2d_grouped");
  CHECK(strategy({7, 7, 64, 64, {3, 3}, grouped(4), all_sides(1)}) == "conv2d_direct");
  CHECK(strategy({7, 7, 9, 9, {3, 3}, grouped(3), all_sides(1)}) == "conv2d_direct");
  CHECK(strategy({7, 7, 4, 4, {3, 3}, grouped(2), all_sides(1)}) == "conv2d_direct");
}
