// What the tests of CPU kernels share: convolutions of odd shapes as keys, and candidates against the reference
// evaluator.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <set>
#include <tuple>

#include "schedules/winograd_transforms.h"
#include "tests/support/kernel_runner.h"

namespace resnetc::test {

inline const std::vector<Epilogue> relu{Relu{}}, add_relu{Add{}, Relu{}};

struct ConvCase {
  int height, width, ic, oc;
  Hw kernel{1, 1};
  Conv2d conv{};
  Sides input_border{}, result_border{}, residual_border{};
  TensorType residual{};  // default: the result's type
  bool bias = true;
  TensorType projected{};  // what a Project reads
};

inline KernelKey conv_key(const ConvCase& c) {
  KernelKey key{
      c.conv,
      {image_type(c.height, c.width, c.ic), weight_type({c.oc, c.kernel.h, c.kernel.w, c.ic / c.conv.groups})},
      {}};
  key.operands[0].border = c.input_border;
  if (c.bias) key.operands.push_back(weight_type({c.oc}));
  Conv2d sums = c.conv;
  sums.epilogue.clear();
  const TensorType plain = infer(sums, key.operands);
  for (const Epilogue& step : c.conv.epilogue) {
    if (std::holds_alternative<Project>(step)) {
      key.operands[1].dims[3] += c.projected.channels();
      key.operands.push_back(c.projected);
    }
    if (std::holds_alternative<Add>(step)) {
      key.operands.push_back(c.residual.dims.empty() ? plain : c.residual);
      key.operands.back().border = c.residual_border;
    }
  }
  key.result = infer(key.op, key.operands);
  key.result.border = c.result_border;
  return key;
}

inline void check_choice(const KernelKey& key, const Choice& choice, const Machine& machine,
                         std::initializer_list<int> batches = {1, 3}) {
  CHECK(parse_choice(to_string(choice)) == choice);
  const std::string label = fmt::format("{} {} on {}", to_string(key), to_string(choice), machine.target.to_string());
  INFO(label);
  Halide::JITUserContext context;
  Halide::Callable callable;
  REQUIRE_NOTHROW(callable = compile_to_run(key, choice, machine));
  for (int batch : batches) {
    const std::vector<Tensor> operands = integer_operands(key, batch, 7);
    Tensor got;
    CHECK_NOTHROW(got = run_compiled(callable, key, choice, machine, operands, context));
    CHECK(equals_reference(key, choice, operands, got));
  }
}

// The tuner tries each candidate once: two that are equal would keep it busy for ever.
inline std::vector<Choice> distinct_candidates(const KernelKey& key, const char* strategy, const Machine& machine) {
  std::vector<Choice> choices = strategy_named(strategy).candidates(key, machine);
  std::set<std::string> texts;
  for (const Choice& choice : choices) CHECK_MESSAGE(texts.insert(to_string(choice)).second, to_string(choice));
  return choices;
}

// Which of many kinds of candidates to check, where all of them take too long: those in which two of the kind's values
// meet for the first time, as most faults lie in two choices that do not go together. All of them in the long tests.
class PairwiseKinds {
 public:
  bool insert(const std::vector<int>& kind) {
    if (!kinds_.insert(kind).second) return false;
    bool is_new = std::getenv("RESNETC_LONG_TESTS") != nullptr || kind.size() < 2;
    for (size_t i = 0; i < kind.size(); i++)
      for (size_t j = i + 1; j < kind.size(); j++) is_new |= pairs_.insert({i, j, kind[i], kind[j]}).second;
    return is_new;
  }
  size_t size() const { return kinds_.size(); }

 private:
  std::set<std::vector<int>> kinds_;
  std::set<std::tuple<size_t, size_t, int, int>> pairs_;
};

// The same kernel with its weights as bf16, which holds small integers exactly. Of each way to pack and to unroll them,
// the best candidate.
inline void check_with_bf16_weights(KernelKey key, const char* strategy, const char* target) {
  key.operands[1].dtype = DType::bf16;
  const Machine machine = machine_for(target, 2);
  REQUIRE(parse_key(to_string(key)) == key);
  if (!strategy_named(strategy).applies(key, machine)) return;
  PairwiseKinds ways;
  for (const Choice& choice : distinct_candidates(key, strategy, machine)) {
    std::vector<int> way;
    for (const auto& [name, value] : choice.parameters) {
      if (name == "oc_vectors") way.push_back(value % 2);
      if (name == "unroll" || name == "passes") way.push_back(value);
      if (name == "tile" || name == "stored") way.push_back(value);
    }
    if (ways.insert(way) || std::getenv("RESNETC_LONG_TESTS")) check_choice(key, choice, machine, {2});
  }
}

inline void check_all_candidates(const KernelKey& key, const char* strategy, const char* target, size_t most) {
  const Machine machine = machine_for(target, 2);
  const std::string text = to_string(key);
  REQUIRE(parse_key(text) == key);
  REQUIRE(strategy_named(strategy).applies(key, machine));
  std::vector<Choice> choices = distinct_candidates(key, strategy, machine);
  if (!std::getenv("RESNETC_LONG_TESTS") && choices.size() > most) choices.resize(most);
  for (const Choice& choice : choices) check_choice(key, choice, machine);
  if (std::holds_alternative<Conv2d>(key.op) || std::holds_alternative<Dense>(key.op))
    check_with_bf16_weights(key, strategy, target);
}

// Winograd's error on numbers that are no integers.
inline void check_error_bound(const KernelKey& key, const std::vector<Choice>& choices, const Machine& machine) {
  const std::vector<Tensor> operands = normal_operands(key, 1, 11);
  const Tensor expected = reference_result(key, operands);
  const float scale = largest_absolute_sum(key, operands);
  for (const Choice& choice : choices) {
    const double bound = winograd_error_bound(choice["tile"]);
    const float error = largest_difference(run_kernel(key, choice, machine, operands), expected) / scale;
    MESSAGE(fmt::format("{}: error {:.2g} of the sum of absolute products, bound {}", to_string(choice), error, bound));
    CHECK(error <= bound);
  }
}

}  // namespace resnetc::test
