// A made-up net for the tests of --profile: an input step, one convolution that is called twice, a dense layer.
#ifndef RESNETC_TESTS_RUNTIME_PROFILE_NET_H
#define RESNETC_TESTS_RUNTIME_PROFILE_NET_H

#include "runtime/program/profile_figures.h"

namespace resnetc::test {

inline const rn_tensor profile_tensors[] = {{0, 4, 4, 2, 1, 1, 1, 1, 0, 1},  // 288 bytes stored, 128 inside the border
                                            {320, 2, 2, 8, 0, 0, 0, 0, 0, 0},
                                            {448, 2, 2, 8, 0, 0, 0, 0, 0, 0}};
inline const rn_weight profile_weights[] = {
    {0, 5, {8, 2, 3, 3, 1}}, {576, 1, {8, 7, 7, 7, 7}}, {640, 3, {8, 8, 1, 7, 7}}};
inline const rn_step profile_steps[] = {
    {nullptr, 0, 2, {{rn_operand_input, 0}, {rn_operand_tensor, 0}}},
    {nullptr, 1, 4, {{rn_operand_tensor, 0}, {rn_operand_weight, 0}, {rn_operand_weight, 1}, {rn_operand_tensor, 1}}},
    {nullptr, 1, 4, {{rn_operand_tensor, 0}, {rn_operand_weight, 0}, {rn_operand_weight, 1}, {rn_operand_tensor, 2}}},
    {nullptr, 2, 3, {{rn_operand_tensor, 2}, {rn_operand_weight, 2}, {rn_operand_output, 0}}}};
inline const char* const profile_step_names[] = {"input", "layer1.<b>", "layer2", "fc"};
inline const char* const profile_keys[] = {"input_to_i4x4x2b1_f32",
                                           "conv2d_i4x4x2b1_w8x3x3x2_w8_to_i2x2x8_stride2_padding1_relu_f32",
                                           "dense_i2x2x8_w5x8_to_v5_global_average1_f32"};
inline const char* const profile_choices[] = {"layout", "conv2d_direct oc_vectors=1 pixels=4", "dense </script>"};
inline const std::uint64_t profile_flops[] = {0, 1152, 80};
inline const std::uint64_t profile_executed_flops[] = {0, 576, 80};  // the convolution saves half

inline rn_description profile_net() {
  rn_description net{};
  net.name = "tiny & small";
  net.target = "x86-64-linux";
  net.version = "resnetc 0";
  net.channels = 2;
  net.height = net.width = 4;
  net.output_channels = 5;
  net.output_height = net.output_width = 1;
  net.has_head = 1;
  net.weight_bytes = 896;
  net.tensors = profile_tensors;
  net.tensor_count = 3;
  net.weights = profile_weights;
  net.weight_count = 3;
  net.steps = profile_steps;
  net.step_count = 4;
  net.step_names = profile_step_names;
  net.kernel_keys = profile_keys;
  net.kernel_choices = profile_choices;
  net.kernel_flops = profile_flops;
  net.kernel_executed_flops = profile_executed_flops;
  net.kernel_count = 3;
  net.head = {576, 1 << 20};
  net.tail_step = net.step_count;
  return net;
}

// Three runs of a batch of two, in microseconds: the medians of the steps are 1, 40, 50 and 4, of the borders 5, 0, 0,
// 0. The first run is the one in the middle.
inline program::Profile profile_of_net(const rn_description& net,
                                       const program::MachinePeak& machine = {"CPU \"X\"", "AVX9", 1e9, 100e6, 1e-6, 6,
                                                                              0.5e9, 99e6}) {
  program::Samples steps(8, 100), whole(1, 100);
  for (const auto& row :
       {std::vector<double>{1, 40, 50, 4, 5, 0, 0, 0}, {2, 90, 40, 4, 6, 0, 0, 0}, {1, 30, 51, 3, 2, 0, 0, 0}}) {
    std::vector<double> seconds;
    for (const double us : row) seconds.push_back(us * 1e-6);
    steps.add(seconds.data());
  }
  for (const double seconds : {99e-6, 97e-6, 98e-6}) whole.add(&seconds);
  return profile_of(net, 3, 2, steps, whole, machine);
}

}  // namespace resnetc::test

#endif
