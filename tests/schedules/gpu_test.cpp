#include "schedules/gpu.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "schedules/strategy.h"

using namespace resnetc;

namespace {

// What a kernel's blocks allocate: bytes of shared memory, and places for operands that are brought ahead.
struct Allocated {
  int64_t shared_bytes = 0;
  int stages_ahead = 0;
};

class Allocations : public Halide::Internal::IRMutator {
 public:
  explicit Allocations(Allocated& sum) : sum_(sum) {}

 private:
  Allocated& sum_;
  using Halide::Internal::IRMutator::visit;
  Halide::Internal::Stmt visit(const Halide::Internal::Allocate* op) override {
    if (op->name.starts_with("ahead")) sum_.stages_ahead++;
    if (op->memory_type == Halide::MemoryType::GPUShared) {
      const int32_t elements = Halide::Internal::Allocate::constant_allocation_size(op->extents, op->name);
      CHECK(elements > 0);
      sum_.shared_bytes += int64_t{elements} * op->type.bytes();
    }
    return IRMutator::visit(op);
  }
};

Allocated allocated(const KernelKey& key, const Choice& choice, const Machine& machine) {
  Allocated sum;
  KernelPipeline kernel = strategy_named(choice.strategy).build(key, choice, machine);
  kernel.pipeline.add_custom_lowering_pass(new Allocations(sum));  // the pipeline deletes it
  // OpenCL's text is written faster than PTX, and all before it is the same.
  const Halide::Target target = machine_for("x86-64-linux-sse41-opencl", 1).target;
  kernel.pipeline.compile_to_module(kernel.arguments, "kernel",
                                    target.with_feature(Halide::Target::NoRuntime)
                                        .with_feature(Halide::Target::UserContext)
                                        .with_feature(Halide::Target::NoAsserts)
                                        .with_feature(Halide::Target::NoBoundsQuery));
  return sum;
}

}  // namespace

TEST_CASE("gpu: what is stored later takes the place that is nearest to it in size") {
  CHECK(shared_bytes_in_turn(10, 20, 0) == 30);
  CHECK(shared_bytes_in_turn(10, 20, 8) == 30);
  CHECK(shared_bytes_in_turn(10, 20, 25) == 35);
  CHECK(shared_bytes_in_turn(10, 20, 13) == 33);
  CHECK(shared_bytes_in_turn(10, 20, 18) == 30);
  CHECK(shared_bytes_in_turn(10, 20, 15) == 35);  // one or the other
}

TEST_CASE("gpu: padding moves the next row by the banks that one row takes") {
  CHECK(stride_of_banks(64, 4) == 68);
  CHECK(stride_of_banks(256, 16) == 272);
  CHECK(stride_of_banks(256, 32) == 256);
  CHECK(stride_of_banks(40, 4) == 68);
}

TEST_CASE("gpu: candidates fit the shared memory of a block, and bring ahead what they stage in a loop") {
  const std::pair<const char*, const char*> cases[] = {
      {"gpu_conv2d_winograd", "conv2d_i28x28x128b1_w128x3x3x128_w128_to_i28x28x128b1_padding1_relu_f32"},
      {"gpu_conv2d_gemm", "conv2d_i14x14x256b1_w512x3x3x256_w512_to_i7x7x512b1_stride2_padding1_relu_f32"},
      {"gpu_conv2d_gemm", "conv2d_i7x7x512_w96x1x1x512_w96_to_i7x7x96_relu_f32"},
      {"gpu_conv2d_direct", "conv2d_i13x10x16b1_w32x3x3x16_w32_to_i13x10x32_padding1_relu_f32"},
      {"gpu_dense", "dense_i7x7x512_w1000x512_w1000_to_v1000_global_average1_f32"}};
  for (const auto& [strategy, text] : cases)
    for (const int batch : {1, 64}) {
      const KernelKey key = parse_key(text);
      Machine machine = machine_for("x86-64-linux-sse41-cuda", 1);
      machine.batch = batch;
      const std::vector<Choice> all = strategy_named(strategy).candidates(key, machine);
      REQUIRE(!all.empty());
      for (const size_t i : {size_t{0}, all.size() / 3, all.size() - 1}) {
        CAPTURE(text);
        CAPTURE(to_string(all[i]));
        const Allocated sum = allocated(key, all[i], machine);
        CHECK(sum.shared_bytes <= machine.device_shared_bytes);
        CHECK(sum.stages_ahead == (std::string_view(strategy) == "gpu_dense" ? 0 : 1));
      }
    }
}

TEST_CASE("gpu: dense layers on a device with many threads and little shared memory fit it") {
  const KernelKey key = parse_key("dense_i7x7x2048_w1000x2048_w1000_to_v1000_global_average1_f32");
  const Machine machine = with_limits(machine_for("x86-64-linux-sse41-opencl", 1), {1024, 16 * 1024, 8});
  const Strategy& dense = strategy_named("gpu_dense");
  REQUIRE(dense.applies(key, machine));
  const std::vector<Choice> all = dense.candidates(key, machine);
  REQUIRE(!all.empty());
  const auto sums = [](const Choice& choice) { return choice["outputs"] * choice["slices"]; };
  const Choice largest =
      *std::max_element(all.begin(), all.end(), [&](const Choice& a, const Choice& b) { return sums(a) < sums(b); });
  CAPTURE(to_string(largest));
  CHECK(allocated(key, largest, machine).shared_bytes <= machine.device_shared_bytes);
}
