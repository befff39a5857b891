// Every candidate of every kernel equals the reference evaluator, exactly, on integers.
#include <doctest/doctest.h>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("direct convolution equals the reference on odd shapes") {
  std::vector<ConvCase> cases;
  cases.push_back({7, 7, 16, 32, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, relu}, all_sides(1), all_sides(1)});
  cases.push_back(
      {9, 11, 24, 13, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 1, add_relu}, all_sides(1), all_sides(1), all_sides(1)});
  cases.push_back({10, 7, 5, 17, {1, 1}, {{1, 1}, {1, 1}, {}, 1, relu}});
  cases.push_back({10, 7, 8, 16, {1, 1}, {{2, 2}, {1, 1}, {}, 1, {}}, all_sides(1)});
  cases.push_back({13, 8, 3, 8, {5, 3}, {{2, 1}, {1, 1}, {2, 1, 1, 0}, 1, relu}, {2, 1, 1, 0}, {0, 0, 1, 1}});
  cases.push_back({12, 12, 4, 8, {3, 3}, {{1, 1}, {2, 2}, all_sides(2), 1, {Relu{}, Add{}}}, all_sides(3), {}});
  cases.push_back({1, 1, 1, 1, {1, 1}, {{1, 1}, {1, 1}, {}, 1, {}}, {}, {}, {}, {}, false});
  cases.push_back({6, 6, 64, 64, {3, 3}, {{1, 1}, {1, 1}, all_sides(1), 16, relu}, all_sides(1)});
  cases.push_back({6, 5, 18, 12, {3, 3}, {{2, 2}, {1, 1}, all_sides(1), 6, add_relu}, all_sides(1)});
  cases.push_back({4, 4, 20, 40, {1, 1}, {{1, 1}, {1, 1}, {}, 2, relu}});
  cases.push_back({8,
                   8,
                   16,
                   32,
                   {3, 3},
                   {{1, 1}, {1, 1}, all_sides(1), 1, {Add{2, 8}, Relu{}}},
                   all_sides(1),
                   all_sides(1),
                   all_sides(1),
                   image_type(16, 16, 16)});
  cases.push_back({5,
                   4,
                   6,
                   11,
                   {3, 3},
                   {{1, 1}, {1, 1}, all_sides(1), 1, {Add{2, 3}, Relu{6}}},
                   all_sides(1),
                   {},
                   {},
                   image_type(9, 8, 5)});
  for (const char* target : {"host", "x86-64-linux-sse41", "x86-64-linux-avx2-fma"})
    for (const ConvCase& c : cases)
      check_all_candidates(conv_key(c), "conv2d_direct", target, std::string(target) == "host" ? 4 : 1);
}

TEST_CASE("direct convolution sums a projection with its own, on odd shapes") {
  const auto bordered = [](TensorType type, Sides border) {
    type.border = border;
    return type;
  };
  std::vector<ConvCase> cases;
  const auto add = [&](ConvCase c, Hw stride, std::vector<Epilogue> more, TensorType projected) {
    c.conv.epilogue = {Project{stride}};
    c.conv.epilogue.insert(c.conv.epilogue.end(), more.begin(), more.end());
    c.projected = std::move(projected);
    cases.push_back(c);
  };
  // Both flat; strides that leave rows and columns unread; borders on everything; more and fewer channels than lanes.
  add({5, 7, 16, 32}, {1, 1}, relu, image_type(5, 7, 8));
  add({5, 7, 12, 40}, {2, 2}, relu, image_type(9, 13, 20));
  add({5, 7, 12, 40}, {2, 2}, {}, image_type(10, 14, 3));
  add({4, 3, 5, 13}, {3, 1}, {Relu{6}}, bordered(image_type(11, 3, 7), {1, 2, 0, 3}));
  add({6, 5, 8, 17, {1, 1}, {}, all_sides(1), all_sides(2), all_sides(1)}, {1, 1}, add_relu,
      bordered(image_type(6, 5, 4), all_sides(1)));
  add({9, 10, 8, 16, {1, 1}, {{2, 2}, {1, 1}, {}, 1, {}}, all_sides(1)}, {1, 1}, {}, image_type(5, 5, 24));
  add({1, 1, 1, 1}, {1, 1}, {}, image_type(1, 1, 1));
  // Blocks of weights that are prefetched: too many for the second-level cache.
  add({3, 3, 256, 1024}, {2, 2}, relu, image_type(5, 6, 512));
  add({3, 3, 512, 1024}, {1, 1}, relu, image_type(3, 3, 160));
  for (const char* target : {"host", "x86-64-linux-sse41", "x86-64-linux-avx2-fma"})
    for (const ConvCase& c : cases)
      check_all_candidates(conv_key(c), "conv2d_direct", target, std::string(target) == "host" ? 4 : 1);

  // All of it is counted, and weights that come from memory are prefetched.
  const KernelKey key = conv_key(cases[7]);
  CHECK(flop_count(key) == int64_t{2} * 3 * 3 * (256 + 512) * 1024);
  CHECK(default_choice(key, machine_for("x86-64-linux-avx2-fma", 2))["prefetch"] == 1);
  KernelKey alone = key;
  alone.operands = {key.operands[0], weight_type({1024, 1, 1, 256}), key.operands[2]};
  std::get<Conv2d>(alone.op).epilogue = relu;
  const Machine machine = machine_for("x86-64-linux-avx2-fma", 1);
  const Choice choice = default_choice(key, machine);
  CHECK(estimated_cycles(key, choice, machine) > 2.5 * estimated_cycles(alone, choice, machine));
}

TEST_CASE("a projection has no kernel but direct convolution, and none on devices") {
  ConvCase c{14, 14, 64, 64};
  c.conv.epilogue = {Project{}};
  c.projected = image_type(14, 14, 32);
  const KernelKey key = conv_key(c);
  const Machine cpu = machine_for("x86-64-linux-avx2-fma", 2);
  for (const Choice& choice : candidates(key, cpu)) CHECK(choice.strategy == "conv2d_direct");
  for (const Strategy* baseline : baselines()) CHECK(!baseline->applies(key, cpu));
  for (const char* target : {"host-opencl", "host-cuda"})
    CHECK_THROWS_WITH_AS(
        candidates(key, machine_for(target, 1)),
        (to_string(key) + ": devices have no kernel for project; make the shortcut a convolution of its own").c_str(),
        Error);
}

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

TEST_CASE("direct convolution in several passes equals the reference") {
  const Machine machine = machine_for("host", 2);
  const KernelKey key =
      conv_key({7, 6, 24, 40, {3, 3}, {{2, 1}, {1, 1}, all_sides(1), 1, add_relu}, all_sides(1), all_sides(1)});
  const std::vector<Tensor> operands = integer_operands(key, 2, 3);
  for (int passes : {1, 3, 6, 12})
    for (int prefetch : {0, 1}) {
      const Choice choice{"conv2d_direct",
                          {{"oc_vectors", 2},
                           {"pixels", 5},
                           {"unroll", 1},
                           {"pixel_tasks", 0},
                           {"passes", passes},
                           {"prefetch", prefetch}}};
      INFO("passes " << passes << ", prefetch " << prefetch);
      CHECK(run_kernel(key, choice, machine, operands) == reference_result(key, operands));
    }
}

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

TEST_CASE("dense layers equal the reference") {
  for (bool average : {true, false})
    for (int oc : {10, 1, 64, 1000}) {
      const TensorType x = average ? image_type(4, 2, 24) : vector_type(19);
      KernelKey key{Dense{average}, {x, weight_type({oc, x.channels()}), weight_type({oc})}, vector_type(oc)};
      check_all_candidates(key, "dense", "host", 4);
      key.operands.pop_back();
      check_all_candidates(key, "dense", "x86-64-linux-sse41", 1);
    }
}

TEST_CASE("the other kernels equal the reference") {
  const auto with_border = [](TensorType type, int border) {
    type.border = all_sides(border);
    return type;
  };
  std::vector<KernelKey> keys;
  for (int channels : {16, 5}) {
    const TensorType image = image_type(7, 6, channels), bordered = with_border(image, 1), w = weight_type({channels});
    keys.push_back({Relu{}, {bordered}, image});
    keys.push_back({Relu{6}, {bordered}, image});
    keys.push_back({Relu{}, {vector_type(channels)}, vector_type(channels)});
    keys.push_back({Add{}, {image, bordered}, bordered});
    keys.push_back({Add{}, {vector_type(channels), vector_type(channels)}, vector_type(channels)});
    keys.push_back({Add{2, 2}, {image, image_type(14, 11, channels - 3)}, bordered});
    keys.push_back({ScaleShift{true}, {image, w, w}, bordered});
    keys.push_back({ScaleShift{false}, {bordered, w, w}, image});
    keys.push_back({MaxPool{{3, 3}, {2, 2}, all_sides(1)}, {bordered}, image_type(4, 3, channels)});
    keys.push_back({MaxPool{{2, 2}, {2, 2}, {0, 0, 1, 1}}, {image}, with_border(image_type(4, 3, channels), 1)});
    keys.push_back({AveragePool{{2, 2}, {2, 2}, {}}, {bordered}, image_type(3, 3, channels)});
    keys.push_back({AveragePool{{2, 2}, {2, 2}, {0, 0, 1, 0}}, {image}, with_border(image_type(4, 3, channels), 1)});
    keys.push_back({AveragePool{{3, 3}, {2, 2}, all_sides(1)}, {bordered}, image_type(4, 3, channels)});
    keys.push_back({AveragePool{{3, 5}, {4, 1}, {2, 0, 0, 4}}, {bordered}, image_type(2, 6, channels)});
    keys.push_back({GlobalAveragePool{}, {with_border(image_type(2, 4, channels), 1)}, vector_type(channels)});
    keys.push_back({Input{}, {}, with_border(image, 3)});
    keys.push_back({Output{}, {bordered}, image});
  }
  keys.push_back({Input{}, {}, with_border(image_type(11, 9, 3), 3)});
  for (const char* target : {"host", "x86-64-linux-sse41"})
    for (const KernelKey& key : keys)
      check_all_candidates(key, default_choice(key, machine_for(target, 2)).strategy.c_str(), target, 1);
}

TEST_CASE("what runs on the CPU in place of a device reads the same weights") {
  for (const char* text :
       {"conv2d_i7x7x16b1_w32x3x3x16_w32_to_i7x7x32b1_padding1_relu_f32",
        "conv2d_i10x7x5_w17x1x1x5_w17_to_i10x7x17_f32", "conv2d_i9x11x24b1_w13x3x3x24_to_i9x11x13b1_padding1_f32",
        "conv2d_i7x13x32b1_w32x3x3x4_w32_to_i7x13x32b1_padding1_groups8_relu_f32",
        "conv2d_i9x10x19b1_w19x3x3x1_w19_to_i9x10x19_padding1_groups19_relu_f32",
        "conv2d_i32x30x3b3_w16x7x7x3_w16_to_i8x8x16b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
        "dense_i4x2x24_w10x24_w10_to_v10_global_average1_f32", "dense_v300_w65x300_w65_to_v65_f32",
        "scale_shift_i7x6x70_w70_w70_to_i7x6x70b1_relu1_f32"})
    for (const char* target :
         {"x86-64-linux-sse41-cuda", "x86-64-linux-avx2-fma-opencl", "x86-64-linux-avx512_skylake-cuda"}) {
      const KernelKey key = parse_key(text);
      const Machine machine = machine_for(target, 2), cpu = host_of(machine);
      REQUIRE(cpu.device == Device::cpu);
      REQUIRE(cpu.lanes == machine.lanes);
      const Choice fallback = fallback_choice(key, cpu);
      for (const Choice& choice : candidates(key, machine))
        for (size_t i = 0; i < key.operands.size(); i++) {
          if (key.operands[i].is_activation()) continue;
          const std::vector<float> values = integer_tensor(key.operands[i].dims, 3, -9, 9).values;
          const PackedWeight there = strategy_named(choice.strategy).pack(key, choice, machine, i, values);
          const PackedWeight here = strategy_named(fallback.strategy).pack(key, fallback, cpu, i, values);
          INFO(text << " " << to_string(choice) << " " << to_string(fallback) << " " << target);
          CHECK(there.extent == here.extent);
          CHECK(there.values == here.values);
        }
    }
}
