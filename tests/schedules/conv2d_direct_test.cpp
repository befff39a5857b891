// Candidates of conv2d_direct equal the reference evaluator, exactly, on integers.
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
