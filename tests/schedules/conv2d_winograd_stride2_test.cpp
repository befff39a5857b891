// Candidates of conv2d_winograd_stride2 equal the reference evaluator, larger tiles within their bound, which numbers
// that are no integers keep to as well.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("Winograd of stride 2 equals the reference, exactly or within its bound") {
  const Sides one = all_sides(1);
  std::vector<ConvCase> cases;
  const auto conv = [&](std::vector<Epilogue> epilogue) { return Conv2d{{2, 2}, {1, 1}, one, 1, std::move(epilogue)}; };
  cases.push_back({14, 14, 32, 64, {3, 3}, conv(add_relu), one, one, one});
  cases.push_back({27, 13, 32, 40, {3, 3}, conv(relu), one, one});
  cases.push_back({9, 11, 48, 13, {3, 3}, conv(add_relu), all_sides(2)});
  cases.push_back({1, 2, 16, 5, {3, 3}, conv({}), one, {}, {}, {}, false});
  cases.push_back({5, 6, 16, 24, {3, 3}, {{2, 2}, {1, 1}, {}, 1, relu}, {}, one});
  cases.push_back({16, 7, 32, 8, {3, 3}, {{2, 2}, {1, 1}, {2, 0, 1, 2}, 1, {}}, {2, 0, 1, 2}, {0, 0, 1, 1}});
  cases.push_back({16, 16, 16, 32, {3, 3}, conv({Add{2, 8}, Relu{6}}), one, one, one, image_type(16, 16, 16)});
  for (const char* target : {"host", "x86-64-linux-avx2-fma", "x86-64-linux-sse41"}) {
    Machine machine = machine_for(target, 2);
    machine.level2_bytes = 1 << 14;  // so that some prefetch
    for (const ConvCase& c : cases) {
      const KernelKey key = conv_key(c);
      std::set<std::vector<int>> kinds;
      const Strategy& strategy = strategy_named("conv2d_winograd_stride2");
      CHECK(strategy.applies(key, machine) == (c.ic % machine.lanes == 0));
      for (const Choice& choice : distinct_candidates(key, "conv2d_winograd_stride2", machine)) {
        const std::vector<int> kind = {choice["tile"], choice["tile_tasks"] > 0, choice["prefetch"]};
        if (kinds.insert(kind).second || std::getenv("RESNETC_LONG_TESTS")) check_choice(key, choice, machine, {2});
      }
      CHECK(kinds.empty() == (c.ic % machine.lanes != 0));
      if (&c == &cases[0]) CHECK(kinds.size() >= 4);  // both tiles, both orders, with and without prefetching
    }
    check_with_bf16_weights(conv_key(cases[0]), "conv2d_winograd_stride2", target);
    check_with_bf16_weights(conv_key(cases[1]), "conv2d_winograd_stride2", target);
    cases.resize(2);
  }
}

TEST_CASE("Winograd of stride 2 with one thread: all tiles in one task, with and without prefetching") {
  Machine machine = machine_for("x86-64-linux-avx2-fma", 1);
  machine.level2_bytes = 1 << 14;
  const KernelKey key =
      conv_key({27, 13, 32, 40, {3, 3}, Conv2d{{2, 2}, {1, 1}, all_sides(1), 1, add_relu}, all_sides(1), all_sides(1)});
  std::set<int> kinds;
  for (const Choice& choice : distinct_candidates(key, "conv2d_winograd_stride2", machine))
    if (choice["channel_groups"] == 1 && kinds.insert(choice["prefetch"]).second)
      check_choice(key, choice, machine, {2});
  CHECK(kinds.size() == 2);
}

TEST_CASE("Winograd of stride 2 is for 3x3 of stride 2 without groups or dilation") {
  const Machine machine = machine_for("x86-64-linux-avx2-fma", 2);
  for (const char* text : {"conv2d_i9x9x16b1_w16x3x3x16_to_i9x9x16_padding1_f32",
                           "conv2d_i9x9x16b2_w16x5x5x16_to_i5x5x16_stride2_padding2_f32",
                           "conv2d_i9x9x16b2_w16x3x3x16_to_i5x5x16_stride2_dilation2_padding2_f32",
                           "conv2d_i9x9x16b1_w16x3x3x8_to_i5x5x16_stride2_padding1_groups2_f32",
                           "conv2d_i9x9x12b1_w16x3x3x12_to_i5x5x16_stride2_padding1_f32",
                           "conv2d_i9x9x16_w16x3x3x16_to_i5x5x16_stride2_padding1_f32"}) {
    CAPTURE(text);
    CHECK(!strategy_named("conv2d_winograd_stride2").applies(parse_key(text), machine));
  }
  CHECK(strategy_named("conv2d_winograd_stride2")
            .applies(parse_key("conv2d_i9x9x16b1_w16x3x3x16_to_i5x5x16_stride2_padding1_f32"), machine));
}

TEST_CASE("Winograd of stride 2 keeps to the largest tile, and its error to its bound on random numbers") {
  Machine machine = machine_for("host", 2);
  const KernelKey key =
      conv_key({24, 24, 128, 16, {3, 3}, {{2, 2}, {1, 1}, all_sides(1), 1, {}}, all_sides(1), {}, {}, {}, false});
  const auto largest_tile = [&] {
    int largest = 0;
    for (const Choice& choice : distinct_candidates(key, "conv2d_winograd_stride2", machine))
      largest = std::max(largest, choice["tile"]);
    return largest;
  };
  CHECK(largest_tile() == 4);
  machine.largest_winograd = 2;
  CHECK(largest_tile() == 2);
  machine.largest_winograd = 0;
  CHECK(!strategy_named("conv2d_winograd_stride2").applies(key, machine));
  std::vector<Choice> choices;
  for (int m : {2, 4})
    choices.push_back(
        {"conv2d_winograd_stride2",
         {{"tile", m}, {"oc_vectors", 1}, {"pixels", 2}, {"tile_tasks", 3}, {"channel_groups", 0}, {"prefetch", 0}}});
  check_error_bound(key, choices, machine);
}

// Halide once did not see how large a buffer is there.
TEST_CASE("Winograd of stride 2 equals the reference where the last block is not whole and tasks are of channels") {
  const KernelKey key = conv_key({13, 14, 32, 80, {3, 3}, {{2, 2}, {1, 1}, all_sides(1), 1, relu}, all_sides(1)});
  const Machine machine = machine_for("host", 2);
  for (const char* parameters : {"tile=2 oc_vectors=3 pixels=2", "tile=4 oc_vectors=3 pixels=1"}) {
    const Choice choice =
        parse_choice(fmt::format("conv2d_winograd_stride2 {} tile_tasks=0 channel_groups=2 prefetch=0", parameters));
    if (is_legal(key, choice, machine)) check_choice(key, choice, machine, {2});
  }
}
