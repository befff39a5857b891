// The operations of the IR: plain structs of attributes. Each lists its attributes in `fields`, from which the
// text form, the JSON form and kernel keys are printed and parsed. Operand order stands beside each struct.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "ir/type.h"

namespace resnetc {

template <class Op, class Value>
struct Field {
  std::string_view name;
  Value Op::*member;
};
template <class Op, class Value>
Field(const char*, Value Op::*) -> Field<Op, Value>;

// The model's input, normalised; the caller gives it as N x C x H x W.
struct Input {
  static constexpr std::string_view op_name = "input";
  static constexpr std::tuple<> fields{};
  bool operator==(const Input&) const = default;
};

// A constant. Two weights are equal when name and digest are; the values are not compared.
struct Weight {
  static constexpr std::string_view op_name = "weight";
  static constexpr std::tuple<> fields{};
  std::string tensor;  // where the values come from, e.g. "layer1.0.conv1.weight * layer1.0.bn1"
  std::string sha256;  // of the values as float32, hexadecimal; empty until computed
  std::shared_ptr<const std::vector<float>> values;  // where the type is bf16, such as bf16 has
  bool operator==(const Weight& other) const { return tensor == other.tensor && sha256 == other.sha256; }
};

// x -> max(x, 0), and at most maximum unless that is 0: ReLU6 has 6.
struct Relu {
  static constexpr std::string_view op_name = "relu";
  int maximum = 0;
  static constexpr auto fields = std::tuple{Field{"maximum", &Relu::maximum}};
  bool operator==(const Relu&) const = default;
};

// (x, y) -> x + z, where z takes every subsample-th row and column of y and puts y's channels
// at channels_before, zero elsewhere: He et al.'s option-A shortcut. By default z = y.
struct Add {
  static constexpr std::string_view op_name = "add";
  int subsample = 1;
  int channels_before = 0;
  static constexpr auto fields =
      std::tuple{Field{"subsample", &Add::subsample}, Field{"channels_before", &Add::channels_before}};
  bool operator==(const Add&) const = default;
};

// The maximum over windows; padding counts as minus infinity.
struct MaxPool {
  static constexpr std::string_view op_name = "max_pool";
  Hw kernel{1, 1};
  Hw stride{1, 1};
  Sides padding{};
  static constexpr auto fields = std::tuple{Field{"kernel", &MaxPool::kernel}, Field{"stride", &MaxPool::stride},
                                            Field{"padding", &MaxPool::padding}};
  bool operator==(const MaxPool&) const = default;
};

// The mean over windows, of the pixels inside the image alone: padding moves the windows and counts for nothing.
struct AveragePool {
  static constexpr std::string_view op_name = "average_pool";
  Hw kernel{1, 1};
  Hw stride{1, 1};
  Sides padding{};
  static constexpr auto fields =
      std::tuple{Field{"kernel", &AveragePool::kernel}, Field{"stride", &AveragePool::stride},
                 Field{"padding", &AveragePool::padding}};
  bool operator==(const AveragePool&) const = default;
};

// (sums of a 1x1 convolution, y) -> sums + the 1x1 convolution of y: a projection shortcut, summed where the block's
// last convolution is. Its weights stand behind the convolution's own: [oc,1,1,channels of x + channels of y].
struct Project {
  static constexpr std::string_view op_name = "project";
  Hw stride{1, 1};
  static constexpr auto fields = std::tuple{Field{"stride", &Project::stride}};
  bool operator==(const Project&) const = default;
};

// What a convolution does to its sums before it stores them, in order. An Add and a Project take one more operand; a
// Project is the first step, and a MaxPool the last.
using Epilogue = std::variant<Relu, Add, MaxPool, Project>;

// The most operands of one epilogue: a driver's table has room for them, and no ResNet has more.
inline constexpr size_t most_epilogue_operands = 2;

// How many more operands the convolution takes for each.
inline size_t step_operands(const Relu&) {
  return 0;
}
inline size_t step_operands(const Add&) {
  return 1;
}
inline size_t step_operands(const MaxPool&) {
  return 0;
}
inline size_t step_operands(const Project&) {
  return 1;
}

// (x [n,h,w,ic], weight [oc,kh,kw,ic/groups], bias [oc], one tensor per Add and Project of the epilogue). The bias may
// be left out only when there is no epilogue. PyTorch's OIHW weights are stored as OHWI here.
//
// The channels of a group follow each other, of x and of the result. With interleave > 1, which divides groups, those
// of so many groups alternate: the first channel of each, then the second of each. Weights and bias go by the result's
// channels as they lie, and by a group's own input channels as ever.
struct Conv2d {
  static constexpr std::string_view op_name = "conv2d";
  Hw stride{1, 1};
  Hw dilation{1, 1};
  Sides padding{};
  int groups = 1;
  std::vector<Epilogue> epilogue;
  int interleave = 1;
  static constexpr auto fields = std::tuple{Field{"stride", &Conv2d::stride}, Field{"dilation", &Conv2d::dilation},
                                            Field{"padding", &Conv2d::padding}, Field{"groups", &Conv2d::groups},
                                            Field{"interleave", &Conv2d::interleave}};
  bool operator==(const Conv2d&) const = default;
};

// Where the channel of that index within its group lies, of an image with group_channels in each group.
inline int channel_of_group(const Conv2d& conv, int group_channels, int group, int index) {
  const int lane = group % conv.interleave;
  return (group - lane) * group_channels + index * conv.interleave + lane;
}

// How many operands the steps of the epilogue take together.
inline size_t epilogue_operands(const Conv2d& conv) {
  size_t count = 0;
  for (const Epilogue& step : conv.epilogue) count += std::visit([](const auto& s) { return step_operands(s); }, step);
  return count;
}

// The Project that begins the epilogue, or nullptr.
inline const Project* projection_of(const Conv2d& conv) {
  return conv.epilogue.empty() ? nullptr : std::get_if<Project>(&conv.epilogue.front());
}

// (x, gamma, beta, mean, variance) -> gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel.
struct BatchNorm {
  static constexpr std::string_view op_name = "batch_norm";
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &BatchNorm::epsilon}};
  bool operator==(const BatchNorm&) const = default;
};

// (x, scale, shift) -> x * scale + shift per channel, then a ReLU if relu is set.
struct ScaleShift {
  static constexpr std::string_view op_name = "scale_shift";
  bool relu = false;
  static constexpr auto fields = std::tuple{Field{"relu", &ScaleShift::relu}};
  bool operator==(const ScaleShift&) const = default;
};

// x [n,h,w,c] -> [n,c]
struct GlobalAveragePool {
  static constexpr std::string_view op_name = "global_average_pool";
  static constexpr std::tuple<> fields{};
  bool operator==(const GlobalAveragePool&) const = default;
};

// (x [n,ic], weight [oc,ic], optional bias [oc]) -> [n,oc]. With global_average x is [n,h,w,ic], averaged first.
struct Dense {
  static constexpr std::string_view op_name = "dense";
  bool global_average = false;
  static constexpr auto fields = std::tuple{Field{"global_average", &Dense::global_average}};
  bool operator==(const Dense&) const = default;
};

// x [n,h,w,c] -> the caller's N x C x H x W result. Only kernel selection makes it.
struct Output {
  static constexpr std::string_view op_name = "output";
  static constexpr std::tuple<> fields{};
  bool operator==(const Output&) const = default;
};

using Op = std::variant<Input, Weight, Conv2d, BatchNorm, ScaleShift, Relu, Add, MaxPool, AveragePool,
                        GlobalAveragePool, Dense, Output>;

inline std::string_view op_name(const Op& op) {
  return std::visit([](const auto& o) { return std::decay_t<decltype(o)>::op_name; }, op);
}

// Calls visit(name, value) for each attribute of op, in order.
template <class AnyOp, class Visit>
void for_each_field(AnyOp& op, Visit&& visit) {
  std::apply([&](const auto&... field) { (visit(field.name, op.*field.member), ...); }, std::decay_t<AnyOp>::fields);
}

// As above, for attributes that differ from their default.
template <class AnyOp, class Visit>
void for_each_set_field(const AnyOp& op, Visit&& visit) {
  const AnyOp defaults{};
  std::apply(
      [&](const auto&... field) {
        ((op.*field.member == defaults.*field.member ? void() : visit(field.name, op.*field.member)), ...);
      },
      AnyOp::fields);
}

}  // namespace resnetc
