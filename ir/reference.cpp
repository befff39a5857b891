#include "ir/reference.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <thread>

namespace resnetc {
namespace {

// Calls body(first, last) on the parts of [0, count), one thread a part.
template <class Body>
void parallel_ranges(int64_t count, int threads, const Body& body) {
  const int64_t parts = std::clamp<int64_t>(threads, 1, std::max<int64_t>(count, 1));
  std::vector<std::thread> workers;
  for (int64_t part = 1; part < parts; part++)
    workers.emplace_back([&, part] { body(count * part / parts, count * (part + 1) / parts); });
  body(0, count / parts);
  for (std::thread& worker : workers) worker.join();
}

struct Image {
  int n, h, w, c;
  explicit Image(const Tensor& t) : n(t.dims[0]), h(t.dims[1]), w(t.dims[2]), c(t.dims[3]) {}
  size_t at(int image, int y, int x) const {
    return ((static_cast<size_t>(image) * static_cast<size_t>(h) + static_cast<size_t>(y)) * static_cast<size_t>(w) +
            static_cast<size_t>(x)) *
           static_cast<size_t>(c);
  }
};

Tensor zeros(std::vector<int> dims) {
  size_t count = 1;
  for (int d : dims) count *= static_cast<size_t>(d);
  return {std::move(dims), std::vector<float>(count, 0.0f)};
}

// sums[o] += x[i] * weight[i][o] for each input channel in turn, output channels from first on.
void multiply_add_plain(const float* x, const float* weight, int ic, int oc, int first, float* sums) {
  for (int i = 0; i < ic; i++) {
    const float* row = weight + static_cast<size_t>(i) * static_cast<size_t>(oc);
    for (int o = first; o < oc; o++) sums[o] += x[i] * row[o];
  }
}

// The same with 32 sums at a time in registers. Each sum is added up in the same order, by a multiplication and an
// addition of their own, so that its bits are the same.
__attribute__((target("avx2"))) void multiply_add_avx2(const float* x, const float* weight, int ic, int oc,
                                                       float* sums) {
  const auto row_size = static_cast<size_t>(oc);
  int o = 0;
  for (; o + 32 <= oc; o += 32) {
    __m256 a = _mm256_loadu_ps(sums + o), b = _mm256_loadu_ps(sums + o + 8);
    __m256 c = _mm256_loadu_ps(sums + o + 16), d = _mm256_loadu_ps(sums + o + 24);
    const float* row = weight + o;
    for (int i = 0; i < ic; i++, row += row_size) {
      const __m256 value = _mm256_set1_ps(x[i]);
      a = _mm256_add_ps(a, _mm256_mul_ps(value, _mm256_loadu_ps(row)));
      b = _mm256_add_ps(b, _mm256_mul_ps(value, _mm256_loadu_ps(row + 8)));
      c = _mm256_add_ps(c, _mm256_mul_ps(value, _mm256_loadu_ps(row + 16)));
      d = _mm256_add_ps(d, _mm256_mul_ps(value, _mm256_loadu_ps(row + 24)));
    }
    _mm256_storeu_ps(sums + o, a), _mm256_storeu_ps(sums + o + 8, b);
    _mm256_storeu_ps(sums + o + 16, c), _mm256_storeu_ps(sums + o + 24, d);
  }
  for (; o + 8 <= oc; o += 8) {
    __m256 a = _mm256_loadu_ps(sums + o);
    const float* row = weight + o;
    for (int i = 0; i < ic; i++, row += row_size)
      a = _mm256_add_ps(a, _mm256_mul_ps(_mm256_set1_ps(x[i]), _mm256_loadu_ps(row)));
    _mm256_storeu_ps(sums + o, a);
  }
  multiply_add_plain(x, weight, ic, oc, o, sums);
}

void multiply_add(const float* x, const float* weight, int ic, int oc, float* sums) {
  static const bool avx2 = __builtin_cpu_supports("avx2");
  avx2 ? multiply_add_avx2(x, weight, ic, oc, sums) : multiply_add_plain(x, weight, ic, oc, 0, sums);
}

// [oc][kh][kw][ic] -> [group][kh][kw][ic][oc / groups]
std::vector<float> output_channels_innermost(const Tensor& weight, int groups) {
  const size_t per_group = static_cast<size_t>(weight.dims[0] / groups);
  const size_t inner = weight.values.size() / static_cast<size_t>(weight.dims[0]);
  std::vector<float> result(weight.values.size());
  for (size_t o = 0; o < static_cast<size_t>(weight.dims[0]); o++)
    for (size_t i = 0; i < inner; i++)
      result[(o / per_group * inner + i) * per_group + o % per_group] = weight.values[o * inner + i];
  return result;
}

Tensor convolve_by_group(const Conv2d& conv, const Tensor& x, const Tensor& weight, const Tensor* bias, int threads) {
  const Image in(x);
  const int oc = weight.dims[0], kh = weight.dims[1], kw = weight.dims[2], group_ic = weight.dims[3];
  const int group_oc = oc / conv.groups;
  const TensorType type = infer_sums(conv, image_type(in.h, in.w, in.c), weight_type(weight.dims));
  Tensor result = zeros({in.n, type.height(), type.width(), oc});
  const Image out(result);
  const std::vector<float> packed = output_channels_innermost(weight, conv.groups);
  parallel_ranges(int64_t{out.n} * out.h, threads, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const int image = static_cast<int>(row / out.h), y = static_cast<int>(row % out.h);
      for (int x_out = 0; x_out < out.w; x_out++) {
        float* sums = &result.values[out.at(image, y, x_out)];
        if (bias) std::copy(bias->values.begin(), bias->values.end(), sums);
        for (int ky = 0; ky < kh; ky++) {
          const int y_in = y * conv.stride.h - conv.padding.top + ky * conv.dilation.h;
          if (y_in < 0 || y_in >= in.h) continue;
          for (int kx = 0; kx < kw; kx++) {
            const int x_in = x_out * conv.stride.w - conv.padding.left + kx * conv.dilation.w;
            if (x_in < 0 || x_in >= in.w) continue;
            for (int g = 0; g < conv.groups; g++) {
              const size_t tap = (static_cast<size_t>(g) * static_cast<size_t>(kh) + static_cast<size_t>(ky)) *
                                     static_cast<size_t>(kw) +
                                 static_cast<size_t>(kx);
              multiply_add(&x.values[in.at(image, y_in, x_in) + static_cast<size_t>(g) * static_cast<size_t>(group_ic)],
                           &packed[tap * static_cast<size_t>(group_ic) * static_cast<size_t>(group_oc)], group_ic,
                           group_oc, sums + static_cast<size_t>(g) * static_cast<size_t>(group_oc));
            }
          }
        }
      }
    }
  });
  return result;
}

// Where the channels of group after group lie.
std::vector<size_t> channels_by_group(const Conv2d& conv, int channels) {
  std::vector<size_t> order;
  const int size = channels / conv.groups;
  for (int g = 0; g < conv.groups; g++)
    for (int i = 0; i < size; i++) order.push_back(static_cast<size_t>(channel_of_group(conv, size, g, i)));
  return order;
}

// Of each order.size() pieces that follow each other the ith is piece order[i].
Tensor in_order(Tensor tensor, size_t piece_size, const std::vector<size_t>& order) {
  const std::vector<float> values = std::move(tensor.values);
  tensor.values.clear();
  for (size_t first = 0; first < values.size(); first += order.size() * piece_size)
    for (size_t from : order) {
      const auto piece = values.begin() + static_cast<ptrdiff_t>(first + from * piece_size);
      tensor.values.insert(tensor.values.end(), piece, piece + static_cast<ptrdiff_t>(piece_size));
    }
  return tensor;
}

Tensor convolve(const Conv2d& conv, const Tensor& x, const Tensor& weight, const Tensor* bias, int threads) {
  if (conv.interleave == 1) return convolve_by_group(conv, x, weight, bias, threads);
  const std::vector<size_t> order = channels_by_group(conv, weight.dims[0]);
  std::vector<size_t> back(order.size());
  for (size_t i = 0; i < order.size(); i++) back[order[i]] = i;
  const Tensor ordered_bias = bias ? in_order(*bias, 1, order) : Tensor{};
  const Tensor result = convolve_by_group(conv, in_order(x, 1, channels_by_group(conv, x.dims[3])),
                                          in_order(weight, weight.values.size() / order.size(), order),
                                          bias ? &ordered_bias : nullptr, threads);
  return in_order(result, 1, back);
}

void relu_in_place(const Relu& relu, Tensor& x) {
  for (float& v : x.values) v = std::max(v, 0.0f);
  if (relu.maximum > 0)
    for (float& v : x.values) v = std::min(v, static_cast<float>(relu.maximum));
}

void add_in_place(const Add& add, Tensor& x, const Tensor& y) {
  if (add == Add{}) {
    for (size_t i = 0; i < x.values.size(); i++) x.values[i] += y.values[i];
    return;
  }
  const Image to(x), from(y);
  for (int image = 0; image < to.n; image++)
    for (int row = 0; row < to.h; row++)
      for (int column = 0; column < to.w; column++)
        for (int c = 0; c < from.c; c++)
          x.values[to.at(image, row, column) + static_cast<size_t>(c + add.channels_before)] +=
              y.values[from.at(image, row * add.subsample, column * add.subsample) + static_cast<size_t>(c)];
}

// Pools x by reduce(values, pixels) for each window: `values` of the result, one a channel, all zero at first, from the
// pixels that the window reads inside the image, each the address of its first channel.
template <class Pool, class Reduce>
Tensor pooled(const Pool& pool, const Tensor& x, const Reduce& reduce) {
  const Image in(x);
  const TensorType type = infer(pool, {image_type(in.h, in.w, in.c)});
  Tensor result = zeros({in.n, type.height(), type.width(), in.c});
  const Image out(result);
  std::vector<const float*> pixels;
  for (int image = 0; image < out.n; image++)
    for (int y = 0; y < out.h; y++)
      for (int x_out = 0; x_out < out.w; x_out++) {
        pixels.clear();
        for (int ky = 0; ky < pool.kernel.h; ky++)
          for (int kx = 0; kx < pool.kernel.w; kx++) {
            const int y_in = y * pool.stride.h - pool.padding.top + ky,
                      x_in = x_out * pool.stride.w - pool.padding.left + kx;
            if (y_in >= 0 && y_in < in.h && x_in >= 0 && x_in < in.w)
              pixels.push_back(&x.values[in.at(image, y_in, x_in)]);
          }
        reduce(&result.values[out.at(image, y, x_out)], pixels);
      }
  return result;
}

Tensor max_pool(const MaxPool& pool, const Tensor& x) {
  const int channels = x.dims[3];
  return pooled(pool, x, [&](float* best, const std::vector<const float*>& pixels) {
    std::fill(best, best + channels, -std::numeric_limits<float>::infinity());
    for (const float* pixel : pixels)
      for (int c = 0; c < channels; c++) best[c] = std::max(best[c], pixel[c]);
  });
}

Tensor average_pool(const AveragePool& pool, const Tensor& x) {
  const int channels = x.dims[3];
  return pooled(pool, x, [&](float* sums, const std::vector<const float*>& pixels) {
    for (const float* pixel : pixels)
      for (int c = 0; c < channels; c++) sums[c] += pixel[c];
    for (int c = 0; c < channels; c++) sums[c] /= static_cast<float>(pixels.size());
  });
}

Tensor global_average(const Tensor& x) {
  const Image in(x);
  Tensor result = zeros({in.n, in.c});
  const size_t pixels = static_cast<size_t>(in.h) * static_cast<size_t>(in.w), channels = static_cast<size_t>(in.c);
  for (size_t image = 0; image < static_cast<size_t>(in.n); image++) {
    float* sums = &result.values[image * channels];
    for (size_t p = 0; p < pixels; p++)
      for (size_t c = 0; c < channels; c++) sums[c] += x.values[(image * pixels + p) * channels + c];
    for (size_t c = 0; c < channels; c++) sums[c] /= static_cast<float>(pixels);
  }
  return result;
}

// x * scale[c] + shift[c]
Tensor scale_shift(const Tensor& x, const std::vector<float>& scale, const std::vector<float>& shift) {
  Tensor result = x;
  for (size_t i = 0; i < x.values.size(); i++)
    result.values[i] = x.values[i] * scale[i % scale.size()] + shift[i % scale.size()];
  return result;
}

// The channels [first, first + count) of a weight [oc,1,1,ic].
Tensor input_channels(const Tensor& weight, int first, int count) {
  Tensor result{{weight.dims[0], 1, 1, count}, {}};
  for (int o = 0; o < weight.dims[0]; o++) {
    const auto from = weight.values.begin() + std::ptrdiff_t{o} * weight.dims[3] + first;
    result.values.insert(result.values.end(), from, from + count);
  }
  return result;
}

struct Evaluate {
  const std::vector<const Tensor*>& in;
  int threads;

  Tensor operator()(const Input&) const { throw std::logic_error("an input has no operands to evaluate"); }
  Tensor operator()(const Weight&) const { throw std::logic_error("a weight has no operands to evaluate"); }

  Tensor operator()(const Conv2d& conv) const {
    Tensor own;
    if (projection_of(conv)) own = input_channels(*in[1], 0, in[0]->dims[3]);
    Tensor result =
        convolve(conv, *in[0], projection_of(conv) ? own : *in[1], in.size() > 2 ? in[2] : nullptr, threads);
    size_t residual = 3;
    for (const Epilogue& step : conv.epilogue) {
      if (const auto* relu = std::get_if<Relu>(&step)) relu_in_place(*relu, result);
      if (const auto* project = std::get_if<Project>(&step)) {
        const Tensor& y = *in[residual++];
        const Tensor shortcut = input_channels(*in[1], in[0]->dims[3], y.dims[3]);
        add_in_place(Add{}, result,
                     convolve(Conv2d{project->stride, {1, 1}, {}, 1, {}}, y, shortcut, nullptr, threads));
      }
      if (const auto* add = std::get_if<Add>(&step)) add_in_place(*add, result, *in[residual++]);
      if (const auto* pool = std::get_if<MaxPool>(&step)) result = max_pool(*pool, result);
    }
    return result;
  }

  Tensor operator()(const BatchNorm& norm) const {
    std::vector<float> scale, shift;
    for (size_t c = 0; c < in[1]->values.size(); c++) {
      const double s = in[1]->values[c] / std::sqrt(double{in[4]->values[c]} + norm.epsilon);
      scale.push_back(static_cast<float>(s));
      shift.push_back(static_cast<float>(in[2]->values[c] - in[3]->values[c] * s));
    }
    return scale_shift(*in[0], scale, shift);
  }

  Tensor operator()(const ScaleShift& op) const {
    Tensor result = scale_shift(*in[0], in[1]->values, in[2]->values);
    if (op.relu) relu_in_place(Relu{}, result);
    return result;
  }

  Tensor operator()(const Relu& relu) const {
    Tensor result = *in[0];
    relu_in_place(relu, result);
    return result;
  }

  Tensor operator()(const Add& add) const {
    Tensor result = *in[0];
    add_in_place(add, result, *in[1]);
    return result;
  }

  Tensor operator()(const MaxPool& pool) const { return max_pool(pool, *in[0]); }
  Tensor operator()(const AveragePool& pool) const { return average_pool(pool, *in[0]); }
  Tensor operator()(const GlobalAveragePool&) const { return global_average(*in[0]); }

  Tensor operator()(const Dense& dense) const {
    const Tensor x = dense.global_average ? global_average(*in[0]) : *in[0];
    const int oc = in[1]->dims[0], ic = in[1]->dims[1];
    Tensor result = zeros({x.dims[0], oc});
    const std::vector<float> packed = output_channels_innermost(*in[1], 1);
    for (size_t n = 0; n < static_cast<size_t>(x.dims[0]); n++) {
      float* sums = &result.values[n * static_cast<size_t>(oc)];
      if (in.size() > 2) std::copy(in[2]->values.begin(), in[2]->values.end(), sums);
      multiply_add(&x.values[n * static_cast<size_t>(ic)], packed.data(), ic, oc, sums);
    }
    return result;
  }

  Tensor operator()(const Output&) const {
    const Image image(*in[0]);
    Tensor result = zeros({image.n, image.c, image.h, image.w});
    float* next = result.values.data();
    for (int n = 0; n < image.n; n++)
      for (int c = 0; c < image.c; c++)
        for (int y = 0; y < image.h; y++)
          for (int x = 0; x < image.w; x++) *next++ = in[0]->values[image.at(n, y, x) + static_cast<size_t>(c)];
    return result;
  }
};

}  // namespace

Tensor evaluate_op(const Op& op, const std::vector<const Tensor*>& inputs, int threads) {
  return std::visit(Evaluate{inputs, threads}, op);
}

std::vector<Tensor> evaluate(const Graph& graph, const Tensor& input, int threads,
                             const std::function<void()>& before_node) {
  std::vector<std::optional<Tensor>> values(graph.nodes.size());
  std::vector<int> uses = use_counts(graph);
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    if (before_node) before_node();
    const Node& node = graph.nodes[i];
    if (std::holds_alternative<Input>(node.op)) {
      std::vector<int> dims = node.type.dims;
      dims[0] = input.dims.empty() ? 0 : input.dims[0];
      if (input.dims != dims || static_cast<int64_t>(input.values.size()) != dims[0] * element_count(node.type))
        throw Error(fmt::format("node %{}: the input is {} with {} values, must be {}", node.name,
                                to_string(weight_type(input.dims)), input.values.size(), to_string(node.type)));
      values[i] = input;
    } else if (const auto* weight = std::get_if<Weight>(&node.op)) {
      if (!weight->values) throw Error(fmt::format("node %{}: weight \"{}\" has no values", node.name, weight->tensor));
      values[i] = Tensor{node.type.dims, *weight->values};
    } else {
      std::vector<const Tensor*> operands;
      for (Value v : node.inputs) operands.push_back(&*values[static_cast<size_t>(v)]);
      values[i] = evaluate_op(node.op, operands, threads);
    }
    for (Value v : node.inputs)
      if (--uses[static_cast<size_t>(v)] == 0) values[static_cast<size_t>(v)].reset();
  }
  std::vector<Tensor> outputs;
  for (Value v : graph.outputs) outputs.push_back(*values[static_cast<size_t>(v)]);
  return outputs;
}

}  // namespace resnetc
