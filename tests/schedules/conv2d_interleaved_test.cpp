// Candidates of conv2d_interleaved equal the reference evaluator, exactly, on integers.
#include <doctest/doctest.h>

#include <set>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

const char* const sse = "x86-64-linux-sse41";
const char* const avx2 = "x86-64-linux-avx2-fma";

Conv2d interleaved(int groups, int interleave, Hw stride = {1, 1}, std::vector<Epilogue> epilogue = relu) {
  return {stride, {1, 1}, all_sides(1), groups, std::move(epilogue), interleave};
}

}  // namespace

TEST_CASE("interleaved convolution equals the reference on odd shapes") {
  std::vector<ConvCase> cases;
  // Of 16 groups with shorter vectors there are several of them side by side.
  cases.push_back({7, 13, 32, 32, {3, 3}, interleaved(16, 16), all_sides(1), all_sides(1)});
  cases.push_back({6, 23, 64, 64, {3, 3}, interleaved(32, 16, {2, 2}), all_sides(1), all_sides(1)});
  // More, or fewer, channels out of a group than into it; padding within a wider border; no bias; a step that adds.
  cases.push_back({5, 3, 32, 96, {3, 3}, interleaved(32, 32, {1, 2}), all_sides(2), all_sides(1)});
  cases.push_back({4, 9, 64, 16, {3, 3}, interleaved(16, 16, {1, 1}, {}), all_sides(1), {}, {}, {}, false});
  cases.push_back({5, 12, 48, 48, {3, 3}, interleaved(16, 16, {1, 1}, add_relu), all_sides(1), all_sides(1)});
  cases.push_back({5, 12, 48, 48, {3, 3}, interleaved(16, 16, {1, 1}, {Relu{6}}), all_sides(1), {}});
  cases.push_back({8, 11, 48, 48, {5, 3}, {{1, 1}, {2, 2}, {4, 2, 4, 2}, 16, relu, 16}, {4, 2, 4, 2}});
  cases.push_back({8, 9, 32, 64, {1, 1}, {{1, 1}, {1, 1}, {}, 16, {}, 16}, {}, {}, {}, {}, false});
  for (const char* target : {"host", sse, avx2})
    for (const ConvCase& c : cases)
      check_all_candidates(conv_key(c), "conv2d_interleaved", target, std::string(target) == "host" ? 2 : 1);
  // Weights that lie in pairs, of vectors of channels and of input channels.
  for (const char* text : {"conv2d_i9x8x64b1_w64x3x3x4bf16_w64_to_i9x8x64_padding1_groups16_interleave16_f32",
                           "conv2d_i5x6x48b1_w48x3x3x3bf16_w48_to_i5x6x48_padding1_groups16_interleave16_f32"})
    check_all_candidates(parse_key(text), "conv2d_interleaved", avx2, 1);
}

TEST_CASE("interleaved convolution is alone for its keys, which devices refuse") {
  const KernelKey key = conv_key({7, 7, 64, 64, {3, 3}, interleaved(16, 16), all_sides(1)});
  for (const char* target : {sse, avx2, "x86-64-linux-avx512_skylake"})
    for (const Choice& choice : candidates(key, machine_for(target, 2))) CHECK(choice.strategy == "conv2d_interleaved");
  for (const char* target : {"x86-64-linux-avx2-fma-opencl", "x86-64-linux-avx2-fma-cuda"})
    CHECK_THROWS_WITH_AS(
        candidates(key, machine_for(target, 2)),
        "conv2d_i7x7x64b1_w64x3x3x4_w64_to_i7x7x64_padding1_groups16_interleave16_relu_f32: devices have "
        "no kernel for interleave; let the channels of a group follow each other",
        Error);
  // Groups that alternate by fewer than a vector has lanes are computed all the same.
  for (int interleave : {2, 3, 8})
    check_all_candidates(conv_key({5, 6, 48, 48, {3, 3}, interleaved(24, interleave), all_sides(1)}),
                         "conv2d_interleaved", avx2, 1);
}
