// Candidates of conv2d_winograd equal the reference evaluator, larger tiles within their bound, which numbers that are
// no integers keep to as well.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <set>
#include <string_view>
#include <tuple>

#include "schedules/winograd_shape.h"
#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("Winograd equals the reference, exactly or within its bound") {
  const Sides one = all_sides(1);
  std::vector<ConvCase> cases;
  const auto conv = [&](std::vector<Epilogue> epilogue) { return Conv2d{{1, 1}, {1, 1}, one, 1, std::move(epilogue)}; };
  // Seven rows of tiles, in strips of four: the last strip is too long.
  cases.push_back({27, 9, 32, 32, {3, 3}, conv(add_relu), one, one, one});
  cases.push_back({7, 7, 32, 40, {3, 3}, conv(relu), one, one});
  cases.push_back({14, 14, 16, 16, {3, 3}, conv(add_relu), one, one, one});
  cases.push_back({9, 11, 48, 13, {3, 3}, conv(add_relu), all_sides(2), {}, {}});
  cases.push_back({1, 2, 16, 5, {3, 3}, conv({}), one, {}, {}, {}, false});
  cases.push_back({5, 6, 16, 24, {3, 3}, {{1, 1}, {1, 1}, {}, 1, relu}, {}, one});
  cases.push_back({8, 3, 32, 8, {3, 3}, {{1, 1}, {1, 1}, {2, 0, 1, 2}, 1, {}}, {2, 0, 1, 2}, {0, 0, 1, 1}});
  cases.push_back({8, 8, 16, 32, {3, 3}, conv({Add{2, 8}, Relu{}}), one, one, one, image_type(16, 16, 16)});
  cases.push_back({6, 9, 16, 24, {3, 3}, conv({Add{}, Relu{6}}), one, one, one});
  for (const char* target : {"host", "x86-64-linux-sse41"}) {
    Machine machine = machine_for(target, 2);
    machine.largest_winograd = 6;
    for (size_t i = 0; i < cases.size(); i++) {
      const KernelKey key = conv_key(cases[i]);
      // Of each kind of schedule, the best; after the first cases only of each tile size.
      const bool all = i < 2 || std::getenv("RESNETC_LONG_TESTS");
      PairwiseKinds kinds;
      for (const Choice& choice : distinct_candidates(key, "conv2d_winograd", machine)) {
        const int tile_rows = (key.result.height() + choice["tile"] - 1) / choice["tile"];
        std::vector<int> kind = {std::min(choice["channel_groups"], 2), tile_rows % choice["tile_rows"] != 0,
                                 choice["stored"], std::min(choice.value_or("task_strips", 0), 2)};
        if (!all) kind.clear();
        kind.push_back(choice["tile"]);
        if (kinds.insert(kind)) check_choice(key, choice, machine, {2});
      }
    }
    for (size_t i = 0; i < std::min<size_t>(cases.size(), 2); i++)
      check_with_bf16_weights(conv_key(cases[i]), "conv2d_winograd", target);
    cases.resize(1);
  }
}

TEST_CASE(
    "Winograd's tasks of several strips equal the reference, the last of them short, with weights of both kinds") {
  const Sides one = all_sides(1);
  const KernelKey f32 = conv_key({27, 9, 32, 40, {3, 3}, {{1, 1}, {1, 1}, one, 1, add_relu}, one, one, one});
  KernelKey bf16 = f32;
  bf16.operands[1].dtype = DType::bf16;
  for (const char* target : {"host", "x86-64-linux-sse41", "x86-64-linux-avx2-fma-f16c"}) {
    const Machine machine = machine_for(target, 2);
    for (const KernelKey& key : {f32, bf16})
      // Seven or fourteen rows of tiles: tasks of three and of all, strips of one row and of four, of which the last is
      // too long; blocks that overrun the channels.
      for (const char* parameters : {"tile=4 oc_vectors=1 pixels=3 channel_part=32 tile_rows=1 channel_groups=1",
                                     "tile=4 oc_vectors=2 pixels=2 channel_part=32 tile_rows=4 channel_groups=1",
                                     "tile=2 oc_vectors=1 pixels=4 channel_part=32 tile_rows=1 channel_groups=1"})
        for (int strips : {1, 2, 3, 7}) {
          if (key == bf16 && strips != 3) continue;
          const Choice choice =
              parse_choice(fmt::format("conv2d_winograd {} stored=0 prefetch=0 task_strips={}", parameters, strips));
          if (is_legal(key, choice, machine)) check_choice(key, choice, machine, {1, 3});
        }
  }
}

// Halide once did not see how large a buffer is there.
TEST_CASE("Winograd equals the reference where half rows of 2 x 2 tiles are all of a strip") {
  const KernelKey key = conv_key({7, 7, 32, 64, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, relu}, all_sides(1)});
  const Machine machine = machine_for("host", 2);
  const Choice choice = parse_choice(
      "conv2d_winograd tile=2 oc_vectors=1 pixels=8 channel_part=32 tile_rows=2 channel_groups=2 stored=3 prefetch=0");
  if (is_legal(key, choice, machine)) check_choice(key, choice, machine, {2});
}

// Two tiles by two, which reach over the right and the lower edge by none up to m - 1 pixels; register tiles of two
// that are alike in both rows of them, and of three that are not.
TEST_CASE("Winograd equals the reference where the last tiles overrun the image") {
  const std::pair<int, int> sizes[] = {{2, 1}, {4, 0}, {4, 1}, {4, 2}, {4, 3}, {5, 0},
                                       {5, 1}, {5, 2}, {5, 4}, {6, 1}, {6, 2}};
  const std::pair<const char*, const char*> orders[] = {{"tile_rows=2 channel_groups=0", ""},
                                                        {"tile_rows=1 channel_groups=1", ""},
                                                        {"tile_rows=1 channel_groups=1", " task_strips=2"}};
  for (const char* target : {"host", "x86-64-linux-avx2-fma-f16c"}) {
    Machine machine = machine_for(target, 2);
    machine.largest_winograd = 6;
    for (const auto& [m, over] : sizes) {
      if (m != 4 && std::string_view(target) != "host") continue;
      const Conv2d conv{{1, 1}, {1, 1}, all_sides(1), 1, add_relu};
      const KernelKey key = conv_key({m + 1 + over, 2 * m - over, 32, 16, {3, 3}, conv, all_sides(1 + over % 2)});
      int checked = 0;
      for (int stored : {0, 1, 2, 3}) {
        const int pixels = 2 + (stored + over) % 2;
        const auto& [order, task_strips] = orders[(stored + pixels + over) % 3];
        const Choice choice = parse_choice(
            fmt::format("conv2d_winograd tile={} oc_vectors=1 pixels={} channel_part=32 {} stored={} prefetch=0{}", m,
                        pixels, order, stored, stored == 0 ? task_strips : ""));
        if (!is_legal(key, choice, machine)) continue;
        check_choice(key, choice, machine, {2});
        checked++;
      }
      CHECK(checked >= 2);
    }
  }
}

// Division by five is what Halide knows least of: the sizes of buffers must be known all the same.
TEST_CASE("Winograd's tiles of five pixels compile in all orders, and equal the reference") {
  const Machine machine = machine_for("host", 2);
  const std::tuple<int, int, int> sizes[] = {{8, 8, 32}, {14, 14, 48}, {16, 11, 16}};
  for (const auto& [height, width, channels] : sizes) {
    const Conv2d conv{{1, 1}, {1, 1}, all_sides(1), 1, add_relu};
    const KernelKey key = conv_key({height, width, 16, channels, {3, 3}, conv, all_sides(1), all_sides(1), {}});
    PairwiseKinds orders;
    for (const Choice& choice : distinct_candidates(key, "conv2d_winograd", machine)) {
      if (choice["tile"] != 5) continue;
      const bool overruns = choice["oc_vectors"] * machine.lanes > channels;
      if (orders.insert({choice["stored"], choice["tile_rows"], std::min(choice["channel_groups"], 2), overruns}))
        check_choice(key, choice, machine, {2});
    }
    CHECK(orders.size() >= 3);
  }
}

TEST_CASE("Winograd's strips stay small however large the image") {
  const Machine machine = machine_for("x86-64-linux-avx2-fma-f16c", 2);
  for (const int pixels : {56, 1024, 3000}) {
    const Conv2d conv{{1, 1}, {1, 1}, all_sides(1), 1, relu};
    const KernelKey key = conv_key({pixels, pixels, 64, 64, {3, 3}, conv, all_sides(1)});
    const std::vector<Choice> choices = distinct_candidates(key, "conv2d_winograd", machine);
    REQUIRE(!choices.empty());
    for (const Choice& choice : choices) {
      const WinogradShape s(key, choice, machine);
      const double one_row = s.strip_bytes() / (s.groups > 0 ? s.tile_rows : s.down);
      CHECK_MESSAGE(s.strip_bytes() <= std::max(one_row, 16.0 * static_cast<double>(machine.level2_bytes)),
                    to_string(choice));
    }
  }
}

// Weights whose transform at the last point, -2 (m = 4) or 1/2 (m = 5), alone overflows: times what should be zero that
// were not a number.
TEST_CASE("Winograd makes no product that it is spared") {
  const Machine machine = machine_for("host", 2);
  const KernelKey key =
      conv_key({2, 2, 32, 16, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, {}}, all_sides(1), {}, {}, {}, false});
  struct Weights {
    int m;
    float along[3];   // taps of the axis whose last products are spared,
    size_t of_other;  // at this tap of the other axis, zero elsewhere
  };
  const Weights f4{4, {2e38f, -1e38f, 0}, 0}, f5{5, {4.5e37f, 0, 0}, 1};
  for (const auto& [weights, columns] : {std::pair(f4, true), {f4, false}, {f5, true}, {f5, false}}) {
    std::vector<Tensor> operands = normal_operands(key, 1, 7);
    for (float& value : operands[0].values) value *= 1e-30f;
    const auto channels = static_cast<size_t>(key.operands[1].dims[3]);
    for (size_t i = 0; i < operands[1].values.size(); i++) {
      const size_t tap = i / channels % 9, along = columns ? tap % 3 : tap / 3, across = columns ? tap / 3 : tap % 3;
      operands[1].values[i] = across == weights.of_other ? weights.along[along] : 0.0f;
    }
    for (int stored : {0, 1, 2, 3}) {
      if (weights.m == 5 && stored < 2) continue;
      const Choice choice = parse_choice(
          fmt::format("conv2d_winograd tile={} oc_vectors=1 pixels=1 channel_part=32 tile_rows=1 channel_groups=1 "
                      "stored={} prefetch=0",
                      weights.m, stored));
      REQUIRE(is_legal(key, choice, machine));
      CAPTURE(weights.m);
      CAPTURE(columns);
      CAPTURE(stored);
      for (const float value : run_kernel(key, choice, machine, operands).values) CHECK(std::isfinite(value));
    }
  }
}

// A plane of these is a multiple of 4 KiB for any number of whole vectors of channels.
TEST_CASE("Winograd pads 64, 128 and 256 tiles together, which no padding of channels moves apart") {
  const std::tuple<const char*, int, int> sizes[] = {
      {"host", 32, 32}, {"host", 32, 64}, {"x86-64-linux-avx2-fma-f16c", 64, 32}, {"x86-64-linux-sse41", 64, 64}};
  for (const auto& [target, width, height] : sizes) {
    const KernelKey key =
        conv_key({height, width, 16, 16, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, relu}, all_sides(1), {}, {}});
    const Machine machine = machine_for(target, 2);
    for (int groups : {0, 1}) {
      const Choice choice = parse_choice(
          fmt::format("conv2d_winograd tile=4 oc_vectors=1 pixels=8 channel_part=16 tile_rows={} channel_groups={} "
                      "stored=0 prefetch=0",
                      height / 4, groups));
      REQUIRE(is_legal(key, choice, machine));
      check_choice(key, choice, machine, {1});
    }
  }
}

// Images that tiles of 2, 4 and 6 cover, and that tiles of 4, 5 and 6 reach over by one to four pixels.
TEST_CASE("Winograd's error stays within its bound on random numbers") {
  const Machine machine = machine_for("host", 2);
  for (int pixels : {12, 14}) {
    const KernelKey key = conv_key(
        {pixels, pixels, 128, 16, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, {}}, all_sides(1), {}, {}, {}, false});
    std::vector<Choice> choices;
    for (int m : {2, 4, 5, 6})
      for (int stored : {0, 2, 3}) {
        if (m == 5 && stored == 0) continue;
        const int tiles = (pixels + m - 1) / m;
        choices.push_back({"conv2d_winograd",
                           {{"tile", m},
                            {"oc_vectors", 1},
                            {"pixels", tiles % 2 == 0 ? 2 : 1},
                            {"channel_part", 64},
                            {"tile_rows", tiles},
                            {"channel_groups", 0},
                            {"stored", stored},
                            {"prefetch", m == 4}}});
      }
    check_error_bound(key, choices, machine);
  }
}
