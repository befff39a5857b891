// What a strategy tells Halide of the sizes of its buffers (bound_extent) must follow from what Halide knows itself.
// Where it does not, Halide emits a check; kernels are compiled without checks, and then Halide takes what was to be
// checked for true: it once left out what clamps a row into the image.
#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

class Checks : public Halide::Internal::IRMutator {
 public:
  std::vector<std::string> in_loops;

 private:
  int loops_ = 0;
  using Halide::Internal::IRMutator::visit;
  Halide::Internal::Stmt visit(const Halide::Internal::For* loop) override {
    loops_++;
    const Halide::Internal::Stmt same = IRMutator::visit(loop);
    loops_--;
    return same;
  }
  Halide::Internal::Stmt visit(const Halide::Internal::AssertStmt* check) override {
    const auto* call = check->message.as<Halide::Internal::Call>();
    if (loops_ > 0 && call && call->name == "halide_error_explicit_bounds_too_small") {
      std::ostringstream text;
      text << check->condition << " or " << check->message;
      in_loops.push_back(text.str());
    }
    return check;
  }
};

// With checks, unlike what is run.
std::vector<std::string> checks(const KernelKey& key, const Choice& choice, const Machine& machine) {
  KernelPipeline kernel = strategy_named(choice.strategy).build(key, choice, machine);
  Checks found;
  kernel.pipeline.add_custom_lowering_pass(&found, [] {});
  kernel.pipeline.compile_to_module(kernel.arguments, "kernel", machine.target);
  return found.in_loops;
}

void check_candidates(const KernelKey& key, const Machine& machine) {
  std::map<std::string, std::vector<Choice>> of_strategy;
  for (const Choice& choice : candidates(key, machine)) of_strategy[choice.strategy].push_back(choice);
  for (const auto& [strategy, choices] : of_strategy) {
    const size_t step = std::getenv("RESNETC_LONG_TESTS") ? 1 : choices.size() <= 12 ? 1 : choices.size() / 3;
    for (size_t i = 0; i < choices.size(); i += step) {
      INFO(fmt::format("{} {} on {}", to_string(key), to_string(choices[i]), machine.target.to_string()));
      for (const std::string& check : checks(key, choices[i], machine)) FAIL_CHECK(check);
    }
  }
}

}  // namespace

TEST_CASE("bounds: Halide knows the size of every buffer of a device's kernels") {
  const Machine machine = machine_for("x86-64-linux-sse41-opencl", 1);
  for (const char* text :
       {"conv2d_i28x28x128b1_w128x3x3x128_w128_to_i28x28x128b1_padding1_relu_f32",
        "conv2d_i9x11x24b1_w13x3x3x24_w13_i9x11x13b1_to_i9x11x13b1_padding1_add_relu_f32",
        "conv2d_i4x17x24b1_w40x3x3x24_w40_to_i4x17x40b1_padding1_relu_f32",
        "conv2d_i7x7x512_w96x1x1x512_w96_to_i7x7x96_relu_f32",
        "conv2d_i7x13x32b1_w32x3x3x4_w32_to_i7x13x32b1_padding1_groups8_relu_f32",
        "conv2d_i224x224x3b3_w64x7x7x3_w64_to_i56x56x64_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
        "conv2d_i9x13x5b1_w11x3x3x5_w11_i9x13x11_to_i5x7x11_padding1_add_max_pool_kernel3_stride2_padding1_f32",
        "conv2d_i8x8x4_w8x1x1x4_w8_to_i4x8x8_max_pool_kernel2x3_stride2x1_padding0x1x1x1_f32",
        "dense_i7x7x512_w1000x512_w1000_to_v1000_global_average1_f32",
        "max_pool_i14x14x32_to_i7x7x32_kernel3_stride2_padding1_f32"})
    check_candidates(parse_key(text), machine);
}

TEST_CASE("bounds: Halide knows the size of every buffer of the CPU's kernels") {
  for (const char* target : {"x86-64-linux-avx2-fma-f16c", "x86-64-linux-avx512_skylake"})
    for (const char* text :
         {"conv2d_i13x10x32_w48x1x1x32_w48_i13x10x48_to_i13x10x48_add_relu_f32",
          "conv2d_i14x14x32_w48x1x1x96_w48_i28x28x64_to_i14x14x48_project_stride2_relu_f32",
          "conv2d_i13x10x64b1_w80x3x3x64_w80_to_i13x10x80b1_padding1_relu_f32",
          "conv2d_i14x13x32b1_w48x3x3x32_w48_to_i7x7x48_stride2_padding1_relu_f32",
          "conv2d_i9x8x64b1_w64x3x3x4_w64_to_i9x8x64_padding1_groups16_relu_f32",
          "conv2d_i20x22x3b3_w40x7x7x3_w40_to_i5x6x40b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
          "dense_v96_w70x96_w70_to_v70_f32"})
      check_candidates(parse_key(text), machine_for(target, 2));
}
