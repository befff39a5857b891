// The reference evaluator against the definitions, written down a second time with another loop structure: each input
// pixel is scattered to the outputs that it reaches, in double.
#include "ir/reference.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "ir/text.h"
#include "tests/support/fill_weights.h"

using namespace resnetc;

namespace {

struct Array {
  std::vector<int> dims;  // four
  std::vector<double> values;

  explicit Array(std::vector<int> d, double value = 0)
      : dims(std::move(d)), values(index(dims[0] - 1, dims[1] - 1, dims[2] - 1, dims[3] - 1) + 1, value) {}
  explicit Array(const Tensor& t) : dims(t.dims), values(t.values.begin(), t.values.end()) {}
  size_t index(int a, int b, int c, int d) const {
    const auto rows = static_cast<size_t>(dims[1]), columns = static_cast<size_t>(dims[2]);
    return ((static_cast<size_t>(a) * rows + static_cast<size_t>(b)) * columns + static_cast<size_t>(c)) *
               static_cast<size_t>(dims[3]) +
           static_cast<size_t>(d);
  }
  double& at(int a, int b, int c, int d) { return values[index(a, b, c, d)]; }
};

// Windows that fit: starts 0, stride, 2 * stride.. whose last tap lies inside the padded side.
int windows(int padded, int kernel, int stride, int dilation) {
  int count = 0;
  for (int start = 0; start + dilation * (kernel - 1) < padded; start += stride) count++;
  return count;
}

// The window at which tap k of a window reads position p of the unpadded side; -1 if there is none.
int window_reading(int p, int before, int k, int stride, int dilation, int count) {
  const int start = p + before - k * dilation;
  return start >= 0 && start % stride == 0 && start / stride < count ? start / stride : -1;
}

// Calls body(oy, ox, iy, ix, ky, kx) for every output that reads input (iy, ix) with tap (ky, kx).
template <class Body>
void scatter(Hw in, Hw out, Hw kernel, Hw stride, Hw dilation, Sides padding, const Body& body) {
  for (int iy = in.h; iy-- > 0;)
    for (int ix = in.w; ix-- > 0;)
      for (int ky = kernel.h; ky-- > 0;)
        for (int kx = kernel.w; kx-- > 0;) {
          const int oy = window_reading(iy, padding.top, ky, stride.h, dilation.h, out.h);
          const int ox = window_reading(ix, padding.left, kx, stride.w, dilation.w, out.w);
          if (oy >= 0 && ox >= 0) body(oy, ox, iy, ix, ky, kx);
        }
}

// The group of a channel, of `size` channels each, and its index in it, when so many groups alternate.
int group_of(int channel, int size, int interleave) {
  return channel / (size * interleave) * interleave + channel % interleave;
}
int index_in_group(int channel, int size, int interleave) {
  return channel % (size * interleave) / interleave;
}

Array convolve(const Conv2d& conv, Array x, Array w, const std::vector<float>* bias) {
  const Hw in{x.dims[1], x.dims[2]}, kernel{w.dims[1], w.dims[2]};
  const Sides& p = conv.padding;
  const Hw out{windows(in.h + p.top + p.bottom, kernel.h, conv.stride.h, conv.dilation.h),
               windows(in.w + p.left + p.right, kernel.w, conv.stride.w, conv.dilation.w)};
  const int oc = w.dims[0], ic = w.dims[3], ocs = oc / conv.groups;
  Array result({x.dims[0], out.h, out.w, oc});
  for (int n = 0; n < x.dims[0]; n++)
    for (int o = 0; o < oc; o++) {
      const int group = group_of(o, ocs, conv.interleave);
      scatter(in, out, kernel, conv.stride, conv.dilation, p, [&](int oy, int ox, int iy, int ix, int ky, int kx) {
        for (int c = 0; c < x.dims[3]; c++)
          if (group_of(c, ic, conv.interleave) == group)
            result.at(n, oy, ox, o) += x.at(n, iy, ix, c) * w.at(o, ky, kx, index_in_group(c, ic, conv.interleave));
      });
      if (bias)
        for (int y = 0; y < out.h; y++)
          for (int c = 0; c < out.w; c++) result.at(n, y, c, o) += (*bias)[static_cast<size_t>(o)];
    }
  return result;
}

template <class Pool>
Hw pool_windows(const Pool& op, const Array& x) {
  const Sides& p = op.padding;
  return {windows(x.dims[1] + p.top + p.bottom, op.kernel.h, op.stride.h, 1),
          windows(x.dims[2] + p.left + p.right, op.kernel.w, op.stride.w, 1)};
}

Array pool(const MaxPool& op, Array x) {
  const Hw in{x.dims[1], x.dims[2]}, out = pool_windows(op, x);
  const Sides& p = op.padding;
  Array result({x.dims[0], out.h, out.w, x.dims[3]}, -1e30);
  for (int n = 0; n < x.dims[0]; n++)
    for (int c = 0; c < x.dims[3]; c++)
      scatter(in, out, op.kernel, op.stride, {1, 1}, p, [&](int oy, int ox, int iy, int ix, int, int) {
        result.at(n, oy, ox, c) = std::max(result.at(n, oy, ox, c), x.at(n, iy, ix, c));
      });
  return result;
}

// The sum of what a window reads over the number of its taps that read something.
Array pool(const AveragePool& op, Array x) {
  const Hw in{x.dims[1], x.dims[2]}, out = pool_windows(op, x);
  Array result({x.dims[0], out.h, out.w, x.dims[3]}), taps = result;
  for (int n = 0; n < x.dims[0]; n++)
    for (int c = 0; c < x.dims[3]; c++)
      scatter(in, out, op.kernel, op.stride, {1, 1}, op.padding, [&](int oy, int ox, int iy, int ix, int, int) {
        result.at(n, oy, ox, c) += x.at(n, iy, ix, c);
        taps.at(n, oy, ox, c) += 1;
      });
  for (size_t i = 0; i < result.values.size(); i++) result.values[i] /= taps.values[i];
  return result;
}

Tensor random_tensor(std::vector<int> dims, unsigned seed) {
  size_t count = 1;
  for (int d : dims) count *= static_cast<size_t>(d);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Tensor result{std::move(dims), std::vector<float>(count)};
  for (float& v : result.values) v = normal(random);
  return result;
}

void check_near(const Tensor& got, const Array& want, double tolerance) {
  REQUIRE(got.dims == want.dims);
  double error = 0;
  for (size_t i = 0; i < got.values.size(); i++) error = std::max(error, std::abs(got.values[i] - want.values[i]));
  CHECK(error <= tolerance);
}

Tensor ints(std::vector<int> dims, std::vector<float> values) {
  return {std::move(dims), std::move(values)};
}

}  // namespace

TEST_CASE("reference: before_node is called for each node, and what it throws ends the evaluation") {
  const Graph graph = parse(R"(graph g {
    %x = input : f32[n,1,1,1]
    %y = relu(%x) : f32[n,1,1,1]
    return %y
  })");
  const Tensor x{{1, 1, 1, 1}, {-1}};
  size_t calls = 0;
  CHECK(evaluate(graph, x, 1, [&] { calls++; }).front().values == std::vector<float>{0});
  CHECK(calls == graph.nodes.size());
  CHECK_THROWS_WITH(evaluate(graph, x, 1, [] { throw Error("interrupted"); }), "interrupted");
}

TEST_CASE("reference: convolutions agree with the definition") {
  struct Case {
    std::vector<int> x, w;
    Conv2d conv;
  };
  const std::vector<Case> cases = {
      {{2, 9, 7, 5}, {6, 3, 3, 5}, {{1, 1}, {1, 1}, all_sides(1), 1, {}}},
      {{1, 11, 8, 3}, {4, 7, 7, 3}, {{2, 2}, {1, 1}, all_sides(3), 1, {}}},
      {{3, 6, 9, 4}, {8, 2, 3, 2}, {{1, 2}, {2, 1}, {0, 1, 2, 3}, 2, {}}},
      {{2, 5, 5, 6}, {6, 3, 1, 1}, {{3, 1}, {1, 3}, {2, 0, 1, 0}, 6, {}}},
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {{1, 1}, {1, 1}, {}, 1, {}}},
      {{2, 4, 3, 7}, {5, 1, 1, 7}, {{2, 2}, {1, 1}, {}, 1, {}}},
      {{1, 3, 3, 2}, {3, 3, 3, 2}, {{1, 1}, {3, 3}, {4, 5, 3, 3}, 1, {}}},
      {{2, 5, 4, 12}, {24, 3, 3, 2}, {{1, 2}, {1, 1}, all_sides(1), 6, {}, 3}},
      {{1, 3, 4, 12}, {4, 1, 2, 3}, {{1, 1}, {1, 1}, {}, 4, {}, 4}},
  };
  unsigned seed = 0;
  for (const Case& c : cases) {
    CAPTURE(seed);
    const Tensor x = random_tensor(c.x, ++seed), w = random_tensor(c.w, ++seed), b = random_tensor({c.w[0]}, ++seed);
    const Array want = convolve(c.conv, Array(x), Array(w), nullptr);
    check_near(evaluate_op(c.conv, {&x, &w}), want, 1e-5);
    const Tensor with_bias = evaluate_op(c.conv, {&x, &w, &b});
    check_near(with_bias, convolve(c.conv, Array(x), Array(w), &b.values), 1e-5);
    for (int threads : {2, 3, 64}) CHECK(evaluate_op(c.conv, {&x, &w, &b}, threads) == with_bias);
  }
}

TEST_CASE("reference: max pools agree with the definition") {
  const std::vector<MaxPool> pools = {
      {{3, 3}, {2, 2}, all_sides(1)}, {{2, 2}, {2, 2}, {}}, {{1, 1}, {3, 2}, {}}, {{4, 2}, {1, 3}, {3, 0, 2, 1}}};
  for (const MaxPool& op : pools) {
    const Tensor x = random_tensor({2, 9, 7, 3}, 5);
    check_near(evaluate_op(op, {&x}), pool(op, Array(x)), 0);
    Tensor negative = x;
    for (float& v : negative.values) v = -1 - std::abs(v);
    check_near(evaluate_op(op, {&negative}), pool(op, Array(negative)), 0);
  }
}

TEST_CASE("reference: average pools agree with the definition") {
  const std::vector<AveragePool> pools = {{{2, 2}, {2, 2}, {0, 0, 1, 1}}, {{2, 2}, {2, 2}, {}},
                                          {{1, 1}, {3, 2}, {}},           {{4, 2}, {1, 3}, {3, 0, 2, 1}},
                                          {{9, 7}, {1, 1}, {}},           {{3, 3}, {5, 4}, all_sides(2)}};
  for (const AveragePool& op : pools) {
    const Tensor x = random_tensor({2, 9, 7, 3}, 5);
    check_near(evaluate_op(op, {&x}), pool(op, Array(x)), 1e-6);
  }
  // By hand: padding counts for nothing, whatever part of a window it takes.
  const Tensor x = ints({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(evaluate_op(AveragePool{{2, 2}, {2, 2}, {0, 0, 1, 1}}, {&x}) == ints({1, 2, 2, 1}, {3, 4.5, 7.5, 9}));
  CHECK(evaluate_op(AveragePool{{2, 2}, {2, 2}, {1, 1, 0, 0}}, {&x}) == ints({1, 2, 2, 1}, {1, 2.5, 5.5, 7}));
}

TEST_CASE("reference: the steps of an epilogue act in their order") {
  const Tensor x = ints({1, 1, 2, 1}, {1, -3}), w = ints({1, 1, 1, 1}, {2}), b = ints({1}, {1});
  const Tensor y = ints({1, 1, 2, 1}, {-10, 4});
  const auto run = [&](std::vector<Epilogue> steps, const std::vector<const Tensor*>& residuals) {
    std::vector<const Tensor*> inputs{&x, &w, &b};
    inputs.insert(inputs.end(), residuals.begin(), residuals.end());
    return evaluate_op(Conv2d{{1, 1}, {1, 1}, {}, 1, std::move(steps)}, inputs).values;
  };
  CHECK(run({}, {}) == std::vector<float>{3, -5});
  CHECK(run({Relu{}}, {}) == std::vector<float>{3, 0});
  CHECK(run({Relu{2}}, {}) == std::vector<float>{2, 0});
  CHECK(run({Add{}}, {&y}) == std::vector<float>{-7, -1});
  CHECK(run({Add{}, Relu{}}, {&y}) == std::vector<float>{0, 0});
  CHECK(run({Relu{}, Add{}}, {&y}) == std::vector<float>{-7, 4});
  CHECK(run({Relu{}, Add{}, Add{}}, {&y, &x}) == std::vector<float>{-6, 1});
  CHECK(run({MaxPool{{1, 2}, {1, 1}, {}}, Add{}}, {&b}) == std::vector<float>{4});
}

// By hand: 2 x + 3 y + 1 and x - y + 1 in two channels, y taken at every second column.
TEST_CASE("reference: a projection is summed with the convolution") {
  const Tensor x = ints({1, 1, 2, 1}, {1, -3}), y = ints({1, 1, 3, 1}, {10, 77, 4});
  const Tensor w = ints({2, 1, 1, 2}, {2, 3, 1, -1}), b = ints({2}, {1, 1});
  CHECK(evaluate_op(Conv2d{{1, 1}, {1, 1}, {}, 1, {Project{{1, 2}}}}, {&x, &w, &b, &y}) ==
        ints({1, 1, 2, 2}, {33, -8, 7, -6}));
  const Tensor z = ints({1, 1, 2, 2}, {1, 1, 1, 1});
  CHECK(evaluate_op(Conv2d{{1, 1}, {1, 1}, {}, 1, {Project{{1, 2}}, Relu{}, Add{}}}, {&x, &w, &b, &y, &z}) ==
        ints({1, 1, 2, 2}, {34, 1, 8, 1}));
}

// By hand.
TEST_CASE("reference: small cases of the other ops") {
  const Tensor x = ints({1, 2, 2, 2}, {1, -1, 2, -2, 3, -3, 4, 8});
  SUBCASE("relu") {
    CHECK(evaluate_op(Relu{}, {&x}).values == std::vector<float>{1, 0, 2, 0, 3, 0, 4, 8});
    CHECK(evaluate_op(Relu{6}, {&x}).values == std::vector<float>{1, 0, 2, 0, 3, 0, 4, 6});
  }
  SUBCASE("batch norm") {
    const Tensor gamma = ints({2}, {2, 6}), beta = ints({2}, {10, 20}), mean = ints({2}, {1, -1});
    const Tensor variance = ints({2}, {3, 8});
    const std::vector<float> want{10, 20, 11, 18, 12, 16, 13, 38};
    CHECK(evaluate_op(BatchNorm{1.0}, {&x, &gamma, &beta, &mean, &variance}).values == want);
  }
  SUBCASE("scale and shift") {
    const Tensor scale = ints({2}, {2, -1}), shift = ints({2}, {-3, 1});
    const std::vector<float> want{-1, 2, 1, 3, 3, 4, 5, -7};
    CHECK(evaluate_op(ScaleShift{}, {&x, &scale, &shift}).values == want);
    CHECK(evaluate_op(ScaleShift{true}, {&x, &scale, &shift}).values == std::vector<float>{0, 2, 1, 3, 3, 4, 5, 0});
  }
  SUBCASE("add") {
    CHECK(evaluate_op(Add{}, {&x, &x}).values == std::vector<float>{2, -2, 4, -4, 6, -6, 8, 16});
  }
  SUBCASE("zero-padded shortcut") {
    const Tensor to = ints({1, 1, 1, 4}, {100, 200, 300, 400});
    CHECK(evaluate_op(Add{2, 1}, {&to, &x}).values == std::vector<float>{100, 201, 299, 400});
    const Tensor wide = ints({1, 2, 3, 1}, {1, 2, 3, 4, 5, 6}), ones = ints({1, 1, 2, 2}, {1, 1, 1, 1});
    CHECK(evaluate_op(Add{2, 1}, {&ones, &wide}).values == std::vector<float>{1, 2, 1, 4});
  }
  SUBCASE("global average") {
    CHECK(evaluate_op(GlobalAveragePool{}, {&x}) == ints({1, 2}, {2.5, 0.5}));
  }
  SUBCASE("dense") {
    const Tensor w = ints({3, 2}, {1, 2, 3, 4, 5, 6}), b = ints({3}, {10, 20, 30}), v = ints({2, 2}, {1, -1, 2, 0});
    CHECK(evaluate_op(Dense{}, {&v, &w}) == ints({2, 3}, {-1, -1, -1, 2, 6, 10}));
    CHECK(evaluate_op(Dense{}, {&v, &w, &b}) == ints({2, 3}, {9, 19, 29, 12, 26, 40}));
    CHECK(evaluate_op(Dense{true}, {&x, &w, &b}) == ints({1, 3}, {13.5, 29.5, 45.5}));
  }
  SUBCASE("output") {
    const Tensor wide = ints({1, 1, 3, 2}, {1, 2, 3, 4, 5, 6});
    CHECK(evaluate_op(Output{}, {&wide}) == ints({1, 2, 1, 3}, {1, 3, 5, 2, 4, 6}));
  }
}

TEST_CASE("reference: a graph's outputs, whatever is read how often") {
  const Graph graph = fill_weights(parse(R"(graph g {
    %x = input : f32[n,2,2,1]
    %w = weight "w" : f32[1,1,1,1]
    %dead = conv2d(%x, %w) : f32[n,2,2,1]
    %y = add(%x, %x) : f32[n,2,2,1]
    %z = add(%y, %x) : f32[n,2,2,1]
    return %z, %y, %x, %z
  })"));
  const Tensor x = ints({2, 2, 2, 1}, {1, 2, 3, 4, 5, 6, 7, 8});
  const std::vector<Tensor> got = evaluate(graph, x, 2);
  REQUIRE(got.size() == 4);
  for (size_t i = 0; i < 8; i++) {
    CHECK(got[0].values[i] == 3 * x.values[i]);
    CHECK(got[1].values[i] == 2 * x.values[i]);
  }
  CHECK(got[2] == x);
  CHECK(got[3] == got[0]);
}

TEST_CASE("reference: what cannot be evaluated is named") {
  Graph graph = parse(R"(graph g {
    %x = input : f32[n,2,2,1]
    %w = weight "conv1.weight" : f32[1,1,1,1]
    %y = conv2d(%x, %w) : f32[n,2,2,1]
    return %y
  })");
  const auto message_of = [&](const Tensor& input) -> std::string {
    try {
      evaluate(graph, input);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  CHECK(message_of(ints({1, 2, 2, 1}, {1, 2, 3, 4})) == "node %w: weight \"conv1.weight\" has no values");
  graph = fill_weights(graph);
  CHECK(message_of(ints({1, 2, 2, 1}, {1, 2, 3, 4})) == "no error");
  CHECK(message_of(ints({0, 2, 2, 1}, {})) == "no error");
  CHECK(message_of(ints({1, 2, 3, 1}, {1, 2, 3, 4, 5, 6})) ==
        "node %x: the input is f32[1,2,3,1] with 6 values, must be f32[n,2,2,1]");
  CHECK(message_of(ints({1, 2, 2, 1}, {1, 2, 3})) ==
        "node %x: the input is f32[1,2,2,1] with 3 values, must be f32[n,2,2,1]");
  CHECK(message_of(ints({}, {})) == "node %x: the input is f32[] with 0 values, must be f32[n,2,2,1]");
}
