#include <doctest/doctest.h>

#include <limits>

#include "ir/graph.h"

using namespace resnetc;

namespace {

struct Case {
  Op op;
  std::vector<TensorType> inputs;
  TensorType type;
};

struct ErrorCase {
  Op op;
  std::vector<TensorType> inputs;
  std::string message;
};

std::string message_of(const Op& op, const std::vector<TensorType>& inputs) {
  try {
    return "no error: " + to_string(infer(op, inputs));
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

TensorType image(int h, int w, int c) {
  return image_type(h, w, c);
}
TensorType weight(std::vector<int> dims) {
  return weight_type(std::move(dims));
}

Conv2d projecting(Hw stride, int groups = 1) {
  return {{}, {}, {}, groups, {Project{stride}}};
}

Conv2d conv(Hw stride, Hw dilation, Sides padding) {
  return {stride, dilation, padding, 1, {}};
}

TensorType bordered(TensorType type) {
  type.border = all_sides(3);
  return type;
}

const TensorType x = image(8, 6, 4), v = vector_type(4), w4 = weight({4});

}  // namespace

// Sizes by hand, or from PyTorch's documentation of Conv2d and MaxPool2d.
TEST_CASE("infer: types of results") {
  const Conv2d stem{{2, 2}, {1, 1}, all_sides(3), 1, {}};
  const Conv2d fused{{2, 2}, {1, 1}, all_sides(3), 1, {Add{}, Relu{}, MaxPool{{3, 3}, {2, 2}, all_sides(1)}}};
  const std::vector<Case> cases = {
      {stem, {image(224, 224, 3), weight({64, 7, 7, 3})}, image(112, 112, 64)},
      {fused, {image(224, 224, 3), weight({64, 7, 7, 3}), weight({64}), image(112, 112, 64)}, image(56, 56, 64)},
      {Conv2d{{2, 1}, {4, 1}, {4, 2, 4, 2}, 1, {}}, {image(100, 50, 16), weight({33, 3, 5, 16})}, image(50, 50, 33)},
      {Conv2d{{1, 1}, {1, 1}, {0, 0, 1, 1}, 4, {}}, {bordered(x), weight({8, 2, 2, 1}), weight({8})}, image(8, 6, 8)},
      {Conv2d{{3, 2}, {1, 1}, {}, 2, {}}, {x, weight({2, 3, 3, 2})}, image(2, 2, 2)},
      {MaxPool{{3, 3}, {2, 2}, all_sides(1)}, {image(112, 112, 64)}, image(56, 56, 64)},
      {MaxPool{{2, 3}, {1, 2}, {1, 2, 0, 1}}, {bordered(x)}, image(8, 4, 4)},
      {AveragePool{{2, 2}, {2, 2}, {0, 0, 1, 1}}, {image(57, 57, 256)}, image(29, 29, 256)},
      {AveragePool{{2, 3}, {1, 2}, {1, 2, 0, 1}}, {bordered(x)}, image(8, 4, 4)},
      {Add{}, {bordered(x), x}, x},
      {Add{}, {v, v}, v},
      {Add{2, 3}, {image(4, 3, 8), image(7, 6, 4)}, image(4, 3, 8)},
      {Add{2, 4}, {image(4, 3, 8), image(8, 5, 4)}, image(4, 3, 8)},
      {BatchNorm{}, {bordered(x), w4, w4, w4, w4}, x},
      {ScaleShift{true}, {bordered(x), w4, w4}, x},
      {Relu{}, {bordered(x)}, x},
      {Relu{}, {v}, v},
      {GlobalAveragePool{}, {bordered(x)}, v},
      {Dense{}, {v, weight({10, 4}), weight({10})}, vector_type(10)},
      {Dense{true}, {bordered(x), weight({10, 4})}, vector_type(10)},
      {Output{}, {bordered(x)}, x},
  };
  for (const Case& c : cases) {
    const std::string name(op_name(c.op)), first = to_string(c.inputs[0]);
    CAPTURE(name);
    CAPTURE(first);
    CHECK(to_string(infer(c.op, c.inputs)) == to_string(c.type));
  }
}

TEST_CASE("infer: a projection fits by its stride, rounded up") {
  const auto out = [&](Hw stride, int h, int w) {
    const TensorType y = image_type(h, w, 3);
    return to_string(infer(projecting(stride), {x, weight({5, 1, 1, 7}), weight({5}), y}));
  };
  CHECK(out({1, 1}, 8, 6) == "f32[n,8,6,5]");
  CHECK(out({2, 3}, 15, 16) == "f32[n,8,6,5]");
  CHECK(out({2, 3}, 16, 18) == "f32[n,8,6,5]");
  CHECK_THROWS(out({2, 3}, 17, 18));
  CHECK_THROWS(out({2, 3}, 14, 18));
}

TEST_CASE("infer: an operand that does not fit is named") {
  const Add shortcut{2, 1};
  const std::vector<ErrorCase> cases = {
      {Input{}, {}, "has the type that it is given"},
      {Weight{}, {}, "has the type that it is given"},
      {Conv2d{}, {x}, "takes 2 to 3 operands, got 1"},
      {Conv2d{}, {x, weight({4, 1, 1, 4}), w4, x}, "takes 2 to 3 operands, got 4"},
      {Conv2d{{}, {}, {}, 1, {Add{}}}, {x, weight({4, 1, 1, 4}), w4}, "takes 4 operands, got 3"},
      {Conv2d{{}, {}, {}, 1, {Add{}, Add{}, Add{}}},
       {x, weight({4, 1, 1, 4}), w4, x, x, x},
       "the steps of an epilogue take at most 2 operands, got 3; make the others nodes of their own"},
      {Conv2d{{}, {}, {}, 1, {MaxPool{}, Relu{}}},
       {x, weight({4, 1, 1, 4}), w4},
       "max_pool must be the last step of an epilogue; make what follows it a node of its own"},
      {projecting({}), {x, weight({4, 1, 1, 8}), w4}, "takes 4 operands, got 3"},
      {projecting({}), {x, weight({4, 1, 1, 4}), w4, x}, "weight must be [4,1,1,8], got f32[4,1,1,4]"},
      {projecting({}),
       {x, weight({4, 3, 3, 8}), w4, x},
       "project needs a 1x1 convolution without groups; make the shortcut a node of its own"},
      {projecting({}, 2),
       {x, weight({4, 1, 1, 6}), w4, x},
       "project needs a 1x1 convolution without groups; make the shortcut a node of its own"},
      {projecting({2, 1}),
       {x, weight({4, 1, 1, 8}), w4, x},
       "f32[n,8,6,4] projected with stride=[2,1] does not fit f32[n,8,6,4]"},
      {projecting({0, 1}), {x, weight({4, 1, 1, 8}), w4, x}, "kernel, stride and dilation must be at least 1"},
      {projecting({}), {x, weight({4, 1, 1, 8}), w4, v}, "what is projected must be an image [n,h,w,c], got f32[n,4]"},
      {Conv2d{{}, {}, {}, 1, {Relu{}, Project{}}},
       {x, weight({4, 1, 1, 8}), w4, x},
       "project must be the first step of an epilogue; make the shortcut a node of its own"},
      {Conv2d{{}, {}, {}, 1, {Project{}, MaxPool{}}},
       {x, weight({4, 1, 1, 8}), w4, x},
       "max_pool cannot follow project; make it a node of its own"},
      {Conv2d{}, {v, weight({4, 1, 1, 4})}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {Conv2d{}, {x, weight({4, 1, 4})}, "weight must be [oc,kh,kw,ic/groups], got f32[4,1,4]"},
      {Conv2d{}, {x, x}, "weight must be [oc,kh,kw,ic/groups], got f32[n,8,6,4]"},
      {Conv2d{}, {x, weight({4, 1, 1, 3})}, "weight must be [4,1,1,4], got f32[4,1,1,3]"},
      {Conv2d{}, {x, weight({4, 1, 1, 4}), weight({3})}, "bias must be [4], got f32[3]"},
      {Conv2d{{}, {}, {}, 2, {}}, {x, weight({3, 1, 1, 2})}, "groups=2 must divide 4 input and 3 output channels"},
      {Conv2d{{}, {}, {}, 4, {}, 3}, {x, weight({4, 1, 1, 1})}, "interleave=3 must divide groups=4"},
      {Conv2d{{}, {}, {}, 4, {MaxPool{}}, 2},
       {x, weight({4, 1, 1, 1}), weight({4})},
       "max_pool cannot follow interleaved groups; make it a node of its own"},
      {Conv2d{{}, {}, {}, 4, {}, 0}, {x, weight({4, 1, 1, 1})}, "interleave=0 must divide groups=4"},
      {Conv2d{{}, {}, {}, 0, {}}, {x, weight({4, 1, 1, 4})}, "groups=0 must divide 4 input and 4 output channels"},
      {conv({0, 1}, {}, {}), {x, weight({4, 1, 1, 4})}, "kernel, stride and dilation must be at least 1"},
      {conv({}, {1, -1}, {}), {x, weight({4, 1, 1, 4})}, "kernel, stride and dilation must be at least 1"},
      {conv({}, {}, {0, 0, -1, 0}), {x, weight({4, 1, 1, 4})}, "padding must not be negative"},
      {conv({}, {1, 3}, {}),
       {x, weight({4, 3, 3, 4})},
       "kernel 3 (dilation 3) does not fit width 6 padded by 0 and 0; make the input larger or the kernel smaller"},
      {conv({}, {}, all_sides(2147483647)),
       {x, weight({4, 1, 1, 4})},
       "height 8 padded by 2147483647 and 2147483647 is too large"},
      {Conv2d{{2, 2}, {}, {}, 1, {Add{}}},
       {x, weight({4, 1, 1, 4}), w4, x},
       "operands must be activations of one shape, got f32[n,4,3,4] and f32[n,8,6,4]"},
      {MaxPool{{3, 2}, {1, 1}, {3, 0, 0, 0}}, {x}, "padding must be smaller than the kernel"},
      {MaxPool{{3, 2}, {1, 1}, {0, 2, 0, 0}}, {x}, "padding must be smaller than the kernel"},
      {MaxPool{{3, 2}, {1, 1}, {0, 0, 3, 0}}, {x}, "padding must be smaller than the kernel"},
      {MaxPool{{3, 2}, {1, 1}, {0, 0, 0, 2}}, {x}, "padding must be smaller than the kernel"},
      {MaxPool{{9, 1}},
       {x},
       "kernel 9 (dilation 1) does not fit height 8 padded by 0 and 0; make the input larger or the kernel smaller"},
      {MaxPool{}, {v}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {AveragePool{{2, 2}, {2, 2}, {0, 0, 2, 1}}, {x}, "padding must be smaller than the kernel"},
      {AveragePool{{2, 2}, {2, 0}, {}}, {x}, "kernel, stride and dilation must be at least 1"},
      {AveragePool{{1, 7}},
       {x},
       "kernel 7 (dilation 1) does not fit width 6 padded by 0 and 0; make the input larger or the kernel smaller"},
      {AveragePool{}, {v}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {AveragePool{}, {x, x}, "takes 1 operand, got 2"},
      {Add{}, {x, v}, "operands must be activations of one shape, got f32[n,8,6,4] and f32[n,4]"},
      {Add{}, {w4, w4}, "operands must be activations of one shape, got f32[4] and f32[4]"},
      {shortcut, {v, x}, "first operand must be an image [n,h,w,c], got f32[n,4]"},
      {shortcut, {x, v}, "second operand must be an image [n,h,w,c], got f32[n,4]"},
      {shortcut,
       {image(4, 3, 4), x},
       "shortcut f32[n,8,6,4] with subsample=2 channels_before=1 does not fit f32[n,4,3,4]"},
      {shortcut,
       {image(4, 4, 8), x},
       "shortcut f32[n,8,6,4] with subsample=2 channels_before=1 does not fit f32[n,4,4,8]"},
      {Add{0, 1}, {x, x}, "subsample must be at least 1, channels_before at least 0"},
      {Add{1, -1}, {x, x}, "subsample must be at least 1, channels_before at least 0"},
      {BatchNorm{}, {x, w4, w4, w4}, "takes 5 operands, got 4"},
      {BatchNorm{}, {x, w4, w4, weight({3}), w4}, "parameter must be [4], got f32[3]"},
      {BatchNorm{-1.0}, {x, w4, w4, w4, w4}, "epsilon must not be negative"},
      {BatchNorm{std::numeric_limits<double>::infinity()}, {x, w4, w4, w4, w4}, "epsilon must be finite"},
      {ScaleShift{}, {x, w4, x}, "parameter must be [4], got f32[n,8,6,4]"},
      {Relu{-1}, {x}, "maximum must not be negative"},
      {Relu{}, {w4}, "operand must be an activation, got f32[4]"},
      {GlobalAveragePool{}, {v}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {Dense{}, {x, weight({10, 4})}, "operand must be [n,c], got f32[n,8,6,4]"},
      {Dense{true}, {v, weight({10, 4})}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {Dense{}, {v, w4}, "weight must be [oc,ic], got f32[4]"},
      {Dense{}, {v, weight({10, 5})}, "weight must be [10,4], got f32[10,5]"},
      {Dense{}, {v, weight({10, 4}), w4}, "bias must be [10], got f32[4]"},
      {Output{}, {v}, "operand must be an image [n,h,w,c], got f32[n,4]"},
      {Dense{}, {v, weight({10, 4}), weight_type({10}, DType::bf16)}, "operand 2 must be f32, got bf16[10]"},
      {BatchNorm{}, {x, weight_type({4}, DType::bf16), w4, w4, w4}, "operand 1 must be f32, got bf16[4]"},
  };
  for (const ErrorCase& c : cases) CHECK(message_of(c.op, c.inputs) == c.message);
}

// Published figures of ResNet-50's first layers: 118,013,952 multiply-accumulates in the stem, 9,408 weights.
TEST_CASE("infer: multiply-accumulates and parameters are counted") {
  Builder builder("g");
  const Value in = builder.input("x", image(224, 224, 3));
  const auto parameter = [&](const char* name, std::vector<int> dims) {
    return builder.weight(name, {name, "", nullptr}, weight(std::move(dims)));
  };
  const Value gamma = parameter("gamma", {64}), beta = parameter("beta", {64});
  const Value mean = parameter("mean", {64}), variance = parameter("variance", {64});
  const Conv2d stem{{2, 2}, {1, 1}, all_sides(3), 1, {}};
  Value y = builder.add("conv1", stem, {in, parameter("w", {64, 7, 7, 3})});
  CHECK(mac_count(builder.graph(), y) == 118'013'952);
  y = builder.add("bn1", BatchNorm{}, {y, gamma, beta, mean, variance});
  const Conv2d grouped{{1, 1}, {1, 1}, all_sides(1), 32, {Relu{}, MaxPool{{3, 3}, {2, 2}, all_sides(1)}}};
  y = builder.add("conv2", grouped, {y, parameter("w2", {64, 3, 3, 2}), parameter("b2", {64})});
  CHECK(mac_count(builder.graph(), y) == 112 * 112 * 64 * 9 * 2);
  y = builder.add("fc", Dense{true}, {y, parameter("fc", {10, 64})});
  const Graph graph = std::move(builder).finish({y});
  CHECK(mac_count(graph) == 118'013'952 + 112 * 112 * 64 * 9 * 2 + 640);
  CHECK(parameter_count(graph) == 9'408 + 128 + 64 * 18 + 64 + 640);
}

TEST_CASE("infer: the builder names the node that does not fit, and renames one whose name is taken") {
  Builder builder("g");
  const Value in = builder.input("x", image(4, 4, 2));
  std::string message;
  try {
    builder.add("sum", Add{}, {in, builder.add("pool", GlobalAveragePool{}, {in})});
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message == "node %sum: add: operands must be activations of one shape, got f32[n,4,4,2] and f32[n,2]");
  for (const char* name : {"x.2", "x.3", "x.4"}) CHECK(builder.graph()[builder.add("x", Relu{}, {in})].name == name);
  CHECK(stored_element_count(bordered(image(4, 4, 2))) == 10 * 10 * 2);
  CHECK(element_count(bordered(image(4, 4, 2))) == 4 * 4 * 2);
}
