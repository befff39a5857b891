// A strategy is one way to run a kind of kernel: to which keys it applies, which candidates it has, how it packs
// weights and how it builds the Halide pipeline. One file each; all are listed in strategy.cpp.
#pragma once

#include <Halide.h>

#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schedules/key.h"
#include "schedules/machine.h"

namespace resnetc {

// A strategy with its parameters, a few named integers. Text: "direct oc_vectors=2 pixels=6".
struct Choice {
  std::string strategy;
  std::vector<std::pair<std::string, int>> parameters;
  bool operator==(const Choice&) const = default;
  int operator[](std::string_view name) const;  // throws std::logic_error if there is none
  int value_or(std::string_view name, int absent) const;
};

std::string to_string(const Choice& choice);
Choice parse_choice(std::string_view text);  // throws Error

// A weight operand as its kernel reads it: dense float32, extent[0] innermost, at most five dimensions. Of weights that
// are stored as bf16 each float32 stands for the bits of two (weight_layout.h).
struct PackedWeight {
  std::vector<int> extent;
  std::vector<float> values;
};

// Arguments stand in the order of the key's operands; the result is the pipeline's output. Images have dimensions
// (c, x, y, n), vectors (c, n); minimum 0 is the first pixel inside the border. The caller's own tensors, of Input and
// Output kernels, have dimensions (x, y, c, n).
struct KernelPipeline {
  Halide::Pipeline pipeline;
  std::vector<Halide::Argument> arguments;
  std::string passes = {};  // lowering passes of its own, which Halide does not write when it serialises a pipeline
};

struct Strategy {
  std::string_view name;
  bool (*applies)(const KernelKey&, const Machine&);
  std::vector<Choice> (*candidates)(const KernelKey&, const Machine&);  // the best guess first
  KernelPipeline (*build)(const KernelKey&, const Choice&, const Machine&);
  // operand: the index of a weight among the key's operands; values in the IR's order.
  PackedWeight (*pack)(const KernelKey&, const Choice&, const Machine&, size_t operand,
                       const std::vector<float>& values);
  // Estimated cycles of one image on machine.threads threads, with weights that come from memory.
  double (*cycles)(const KernelKey&, const Choice&, const Machine&);
  // Raise it when the same parameters come to mean other code: records of other versions are kept but not used. Not
  // where all of a strategy's choices only became faster: what was the best on a machine is still a good choice there.
  int version = 1;
  // executed_flop; NULL: as many as flop_count.
  int64_t (*executed_flop)(const KernelKey&, const Choice&, const Machine&) = nullptr;
  // is_legal, where it applies: whatever the parameters are called and hold, and whatever the estimates say. NULL where
  // the candidates are all that is legal, none left out by rank or for the number of threads.
  bool (*legal)(const KernelKey&, const Choice&, const Machine&) = nullptr;
};

std::span<const Strategy* const> strategies();         // of the CPU
std::span<const Strategy* const> device_strategies();  // of OpenCL and CUDA devices

// Halide's autoschedulers on the plain algorithm, to measure strategies against: never among the candidates. Their one
// parameter is the batch that they are to expect. On devices, where memory starts at aligned addresses and a result's
// memory with its border, their results have none.
std::span<const Strategy* const> baselines();
bool is_baseline(std::string_view strategy);

// Of all kinds, baselines included; nullptr if there is none of that name.
const Strategy* find_strategy(std::string_view name);
const Strategy& strategy_named(std::string_view name);  // throws Error instead

// Every candidate of every strategy that applies, the default first. Throws Error if there is none.
std::vector<Choice> candidates(const KernelKey& key, const Machine& machine);

// What a strategy may give as its candidates: each choice once, by its estimated cycles.
std::vector<Choice> ranked(const std::vector<Choice>& choices, const KernelKey& key, const Machine& machine,
                           double (*cycles)(const KernelKey&, const Choice&, const Machine&));

// The first three of each kind, in their order.
std::vector<Choice> few_of_each_kind(const std::vector<Choice>& choices,
                                     const std::function<std::vector<int>(const Choice&)>& kind);

// Whether a choice from elsewhere, from a file say, would compile for this key and machine and be right. It need not be
// a candidate: those that seem slow are left out of these.
bool is_legal(const KernelKey& key, const Choice& choice, const Machine& machine);

struct ParameterRange {
  std::string_view name;
  int least, most;
  bool optional = false;
};
// Whether the choice has these parameters in this order and no others, but for optional ones, each within its range.
bool has_parameters(const Choice& choice, std::initializer_list<ParameterRange> ranges);

// Of the strategies' best guesses, that with the least estimate. Throws Error if no strategy applies.
Choice default_choice(const KernelKey& key, const Machine& machine);

// A choice for the CPU that reads weights as packed for a device, so that no weight is stored twice.
Choice fallback_choice(const KernelKey& key, const Machine& cpu);

// Floating-point operations that a choice executes for one image. They differ from flop_count where a strategy does not
// sum directly: Winograd multiplies less, but has its transforms.
int64_t executed_flop(const KernelKey& key, const Choice& choice, const Machine& machine);

double estimated_cycles(const KernelKey& key, const Choice& choice, const Machine& machine);

extern const Strategy halide_mullapudi2016, halide_adams2019, halide_li2018, halide_anderson2021;
extern const Strategy conv2d_direct, conv2d_grouped, conv2d_interleaved, conv2d_winograd, conv2d_winograd_stride2,
    conv2d_max_pool, dense, max_pool, average_pool, global_average_pool, elementwise, layout;
extern const Strategy gpu_conv2d_gemm, gpu_conv2d_direct, gpu_conv2d_winograd, gpu_conv2d_grouped, gpu_conv2d_max_pool,
    gpu_dense, gpu_max_pool, gpu_average_pool, gpu_global_average_pool, gpu_elementwise, gpu_layout;

}  // namespace resnetc
