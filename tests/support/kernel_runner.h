// Runs one kernel through Halide's JIT on plain tensors, so that it can be compared with the reference evaluator.
#pragma once

#include <vector>

#include "ir/reference.h"
#include "schedules/strategy.h"

namespace resnetc {

// operands: in the key's order, images NHWC without border (their borders are made here, of zeros). For an Input
// kernel: the one N x C x H x W tensor. Returns the result without its border. Throws if the kernel wrote outside.
Tensor run_kernel(const KernelKey& key, const Choice& choice, const Machine& machine,
                  const std::vector<Tensor>& operands);

// The same in two steps, for a kernel that runs several times. context: its handlers take the place of Halide's own.
Halide::Callable compile_to_run(const KernelKey& key, const Choice& choice, const Machine& machine);
Tensor run_compiled(const Halide::Callable& callable, const KernelKey& key, const Choice& choice,
                    const Machine& machine, const std::vector<Tensor>& operands, Halide::JITUserContext& context);

// The reference evaluator's answer to the same.
Tensor reference_result(const KernelKey& key, const std::vector<Tensor>& operands);

// Largest |sum| of absolute products of any output of a convolution, the scale of Winograd's bound.
float largest_absolute_sum(KernelKey key, std::vector<Tensor> operands);

float largest_difference(const Tensor& a, const Tensor& b);

// Whether the result, of integers, is the reference's: exactly, but for Winograd's larger tiles within their bound.
bool equals_reference(const KernelKey& key, const Choice& choice, const std::vector<Tensor>& operands,
                      const Tensor& got);

// Small integers, so that sums are exact in any order; a fixed function of dims and seed.
Tensor integer_tensor(std::vector<int> dims, unsigned seed, int least = -2, int most = 2);

// Operands for the key with that batch.
std::vector<Tensor> integer_operands(const KernelKey& key, int batch, unsigned seed);

// The same with normally distributed values, whose sums depend on their order.
std::vector<Tensor> normal_operands(const KernelKey& key, int batch, unsigned seed);

}  // namespace resnetc
