#include "tests/support/random_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <random>

#include "tests/support/fill_weights.h"

namespace resnetc {
namespace {

// What a value can be: multiples of 2^-fraction_bits, at most `largest` in magnitude.
struct Range {
  double largest = 2;
  int fraction_bits = 0;
  bool is_exact() const { return std::ldexp(largest, fraction_bits) <= 0x1p24; }
};

Range sum(const Range& a, const Range& b) {
  return {a.largest + b.largest, std::max(a.fraction_bits, b.fraction_bits)};
}

class Generator {
 public:
  Generator(unsigned seed, bool wide) : random_(seed), builder_(fmt::format("random_{}", seed)), wide_(wide) {}

  Graph graph() {
    const auto side = [&] { return wide_ ? 4 * between(1, 2) : between(4, 9); };
    const int height = side(), width = side();
    last_ = builder_.input("x", image_type(height, width, channels(1, 6)));
    ranges_.resize(1);
    for (int steps = between(2, 14); steps > 0; steps--) step();
    std::vector<Value> outputs{one_in(4) ? last_ : head(power_of_two_pixels(last_))};
    for (int more = between(0, 2); more > 0 && one_in(2); more--) outputs.push_back(any_image());
    if (one_in(3)) border();
    return std::move(builder_).finish(std::move(outputs));
  }

 private:
  std::mt19937 random_;
  Builder builder_;
  bool wide_;
  std::vector<Range> ranges_;  // of the values so far; meaningless for weights
  std::vector<Value> images_;  // all but last_
  Value last_ = 0;             // the image that the next step mostly reads
  int names_ = 0;

  int between(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }
  int channels(int least, int most) { return wide_ ? 16 * between(1, 2) : between(least, most); }
  bool one_in(int n) { return between(1, n) == 1; }
  const TensorType& type(Value v) const { return builder_.graph()[v].type; }
  const Range& range(Value v) const { return ranges_[static_cast<size_t>(v)]; }
  const std::vector<float>& values(Value v) const { return *std::get<Weight>(builder_.graph()[v].op).values; }
  std::string fresh(const char* stem) { return fmt::format("{}{}", stem, ++names_); }

  Value weight(const std::string& name, std::vector<int> dims, WeightRole role = WeightRole::plain) {
    const TensorType t = weight_type(std::move(dims));
    auto v = std::make_shared<const std::vector<float>>(integer_values(name, role, element_count(t)));
    const Value result = builder_.weight(name, {name, "", std::move(v)}, t);
    ranges_.emplace_back();
    return result;
  }

  // Adds the op unless its operands do not fit or its result could be inexact.
  std::optional<Value> add(const char* stem, Op op, std::vector<Value> inputs, const Range& result) {
    if (!result.is_exact()) return std::nullopt;
    std::vector<TensorType> types;
    for (Value v : inputs) types.push_back(type(v));
    try {
      if (element_count(infer(op, types)) > (wide_ ? 4000 : 2000)) return std::nullopt;
    } catch (const std::invalid_argument&) {
      return std::nullopt;
    }
    ranges_.push_back(result);
    return builder_.add(fresh(stem), std::move(op), std::move(inputs));
  }

  Value any_image() { return images_.empty() || !one_in(4) ? last_ : images_[random_() % images_.size()]; }
  void advance(std::optional<Value> image) {
    if (!image) return;
    images_.push_back(last_);
    last_ = *image;
  }

  // Of x * w summed along all but w's first dimension, plus a bias if there is one.
  Range dot_range(Value x, Value w, std::optional<Value> bias) const {
    const std::vector<float>& ws = values(w);
    const size_t outputs = static_cast<size_t>(type(w).dims[0]), inner = ws.size() / outputs;
    double largest = 0;
    for (size_t o = 0; o < outputs; o++) {
      double total = bias ? std::abs(values(*bias)[o]) : 0;
      for (size_t i = 0; i < inner; i++) total += std::abs(ws[o * inner + i]) * range(x).largest;
      largest = std::max(largest, total);
    }
    return {largest, range(x).fraction_bits};
  }

  std::optional<Value> conv(Value x, const Conv2d& attributes, Hw kernel, int oc, bool has_bias) {
    const int ic = type(x).channels();
    const std::string name = fresh("conv");
    const Value w = weight(name + ".weight", {oc, kernel.h, kernel.w, ic / attributes.groups});
    std::vector<Value> inputs{x, w};
    std::optional<Value> bias;
    if (has_bias) inputs.push_back(*(bias = weight(name + ".bias", {oc})));
    return add("conv", attributes, std::move(inputs), dot_range(x, w, bias));
  }

  Conv2d random_attributes(Hw kernel) {
    Conv2d conv;
    if (one_in(2)) {
      conv.padding = {kernel.h / 2, kernel.w / 2, kernel.h / 2, kernel.w / 2};
      if (one_in(wide_ ? 2 : 3)) conv.stride = {2, 2};
      return conv;
    }
    conv.stride = {between(1, 3), between(1, 2)};
    conv.dilation = {between(1, 2), between(1, 2)};
    conv.padding = {between(0, 2), between(0, 2), between(0, 2), between(0, 2)};
    return conv;
  }

  std::optional<Value> any_conv(Value x) {
    const Hw kernel = wide_ && !one_in(3) ? Hw{3, 3} : Hw{between(1, 3), between(1, 3)};
    Conv2d attributes = random_attributes(kernel);
    const int ic = type(x).channels(), groups = wide_ ? ic / 4 : between(2, 4);
    if (one_in(3) && ic % groups == 0) attributes.groups = groups;
    const bool grouped = attributes.groups > 1;
    const int oc = wide_ && grouped ? ic : attributes.groups * channels(1, 8 / attributes.groups);
    const std::optional<Value> result = conv(x, attributes, kernel, oc, one_in(3));
    return result && one_in(wide_ ? 3 : 8) ? fused(*result) : result;
  }

  // A second convolution of the same weights, with an epilogue from the start.
  std::optional<Value> fused(Value plain) {
    const Node node = builder_.graph()[plain];
    std::vector<Value> inputs = node.inputs;
    if (inputs.size() == 2) return plain;
    auto attributes = std::get<Conv2d>(node.op);
    Range result = range(plain);
    if (one_in(2)) {
      attributes.epilogue.emplace_back(Add{});
      inputs.push_back(plain);
      result = sum(result, result);
    }
    if (one_in(2)) attributes.epilogue.emplace_back(Relu{one_in(4) ? 6 : 0});
    if (one_in(3)) attributes.epilogue.emplace_back(MaxPool{{2, 2}, {1, 1}, {}});
    return add("fused", attributes, std::move(inputs), result);
  }

  std::optional<Value> batch_norm(Value x) {
    const int c = type(x).channels();
    const std::string name = fresh("bn");
    const Value gamma = weight(name + ".weight", {c}, WeightRole::gamma), beta = weight(name + ".bias", {c});
    const Value mean = weight(name + ".mean", {c}), variance = weight(name + ".var", {c}, WeightRole::variance);
    // The scale is 1/4 to 2, mean and beta are at most 2 in magnitude.
    const Range result{2 * range(x).largest + 6, range(x).fraction_bits + 2};
    return add("bn", BatchNorm{0.0}, {x, gamma, beta, mean, variance}, result);
  }

  std::optional<Value> scale_shift(Value x) {
    const int c = type(x).channels();
    const std::string name = fresh("scale");
    const Value scale = weight(name + ".scale", {c}), shift = weight(name + ".shift", {c});
    return add("scale", ScaleShift{one_in(2)}, {x, scale, shift}, {2 * range(x).largest + 2, range(x).fraction_bits});
  }

  // Wide nets are often clamped, or else they would soon leave what is exact.
  std::optional<Value> relu(Value x) {
    const Relu relu{one_in(wide_ ? 2 : 4) ? 6 : 0};
    const double largest = relu.maximum == 0 ? range(x).largest : std::min(range(x).largest, 1.0 * relu.maximum);
    return add("relu", relu, {x}, {largest, range(x).fraction_bits});
  }

  std::optional<Value> max_pool(Value x) {
    const Hw kernel{between(1, 3), between(1, 3)};
    const Sides padding{between(0, kernel.h - 1), between(0, kernel.w - 1), between(0, kernel.h - 1),
                        between(0, kernel.w - 1)};
    return add("pool", MaxPool{kernel, {between(1, 2), between(1, 2)}, padding}, {x}, range(x));
  }

  // Of windows that hold 1, 2 or 4 pixels, so that the mean is exact.
  std::optional<Value> average_pool(Value x) {
    const Hw kernel{between(1, 2), between(1, 2)};
    const Sides padding{between(0, kernel.h - 1), between(0, kernel.w - 1), between(0, kernel.h - 1),
                        between(0, kernel.w - 1)};
    return add("mean", AveragePool{kernel, {between(1, 2), between(1, 2)}, padding}, {x},
               {4 * range(x).largest, range(x).fraction_bits + 2});
  }

  // The sum of two images of one shape, in either order; of an image and itself if there is no other.
  std::optional<Value> plain_add(Value x) {
    std::vector<Value> same;
    for (Value v : images_)
      if (type(v).dims == type(x).dims) same.push_back(v);
    const Value y = same.empty() || one_in(10) ? x : same[random_() % same.size()];
    return one_in(2) ? add("sum", Add{}, {x, y}, sum(range(x), range(y)))
                     : add("sum", Add{}, {y, x}, sum(range(x), range(y)));
  }

  // conv -> batch norm -> relu -> conv (3x3, or 1x1 as in a bottleneck) -> batch norm -> add(x) -> relu, with the
  // shortcut that fits.
  std::optional<Value> block(Value x) {
    const int out = type(x).channels() + (one_in(2) ? 0 : wide_ ? 16 : between(1, 3));
    const int stride = between(1, 2);
    const auto normed = [&](std::optional<Value> v) { return v && one_in(4) ? v : (v ? batch_norm(*v) : v); };
    Conv2d first, second;
    const int last_kernel = one_in(2) ? 1 : 3;
    first.padding = all_sides(1);
    second.padding = all_sides(last_kernel / 2);
    first.stride = {stride, stride};
    std::optional<Value> y = normed(conv(x, first, {3, 3}, channels(1, 4), one_in(4)));
    if (y) y = relu(*y);
    if (y) y = normed(conv(*y, second, {last_kernel, last_kernel}, out, one_in(4)));
    if (!y) return y;
    Add add_shortcut;
    std::optional<Value> shortcut = x;
    if (one_in(2)) {
      add_shortcut = {stride, (out - type(x).channels()) / 2};
    } else if (stride != 1 || out != type(x).channels()) {
      shortcut = normed(conv(x, {{stride, stride}, {1, 1}, {}, 1, {}}, {1, 1}, out, false));
      if (!shortcut) return shortcut;
    }
    const std::optional<Value> total = add("sum", add_shortcut, {*y, *shortcut}, sum(range(*y), range(*shortcut)));
    return total && !one_in(6) ? relu(*total) : total;
  }

  // 1x1 -> 3x3 of 16 narrow groups -> 1x1, as a bottleneck of ResNeXt. Clamped, so that sums stay exact.
  std::optional<Value> narrow_groups(Value x) {
    const int stride = between(1, 2);
    std::optional<Value> y = conv(x, {}, {1, 1}, 16 * between(1, 2), one_in(3));
    if (y) y = add("relu", Relu{2}, {*y}, {2, range(*y).fraction_bits});
    if (y) y = conv(*y, {{stride, stride}, {1, 1}, all_sides(1), 16, {}}, {3, 3}, 16 * between(1, 2), one_in(3));
    if (y && !one_in(4)) y = add("relu", Relu{2}, {*y}, {2, range(*y).fraction_bits});
    return y ? conv(*y, {}, {1, 1}, channels(1, 4), one_in(3)) : y;
  }

  void step() {
    const Value x = any_image();
    if (wide_ && one_in(2)) return advance(one_in(2) ? any_conv(x) : block(x));
    switch (between(0, 13)) {
      case 0:
      case 1:
      case 2:
        return advance(any_conv(x));
      case 3:
      case 4:
        return advance(batch_norm(x));
      case 5:
      case 6:
        return advance(relu(x));
      case 7:
        return advance(max_pool(x));
      case 8:
        return advance(scale_shift(x));
      case 9:
        return advance(plain_add(x));
      case 10:
        return advance(average_pool(x));
      case 11:
        return advance(narrow_groups(x));
      default:
        return advance(block(x));
    }
  }

  std::optional<Value> dense(Value x, bool global_average) {
    const std::string name = fresh("fc");
    const int oc = between(1, 5);
    const Value w = weight(name + ".weight", {oc, type(x).channels()});
    std::vector<Value> inputs{x, w};
    std::optional<Value> bias;
    if (!one_in(3)) inputs.push_back(*(bias = weight(name + ".bias", {oc})));
    Range result = dot_range(x, w, bias);
    if (global_average) result = averaged(x, result);
    return add("fc", Dense{global_average}, std::move(inputs), result);
  }

  // r, its sum over the pixels of x, and the quotient are all exact, or the result is marked as inexact.
  Range averaged(Value x, const Range& r) const {
    const int pixels = type(x).height() * type(x).width();
    if ((pixels & (pixels - 1)) != 0) return {0x1p30, 0};
    return {r.largest * pixels, r.fraction_bits + static_cast<int>(std::log2(pixels))};
  }

  // x, or its max pool whose sides are powers of two.
  Value power_of_two_pixels(Value x) {
    const auto excess = [](int size) { return size - static_cast<int>(std::bit_floor(static_cast<unsigned>(size))); };
    const Hw kernel{1 + excess(type(x).height()), 1 + excess(type(x).width())};
    return kernel == Hw{} ? x : *add("pool", MaxPool{kernel, {1, 1}, {}}, {x}, range(x));
  }

  // Average pool and dense layers on x, as far as they stay exact.
  Value head(Value x) {
    if (one_in(5)) return dense(x, true).value_or(x);
    const std::optional<Value> pooled = add("average", GlobalAveragePool{}, {x}, averaged(x, range(x)));
    if (!pooled) return x;
    const std::optional<Value> logits = dense(*pooled, false);
    if (!logits || one_in(8)) return *pooled;
    if (one_in(4))
      if (const auto again = dense(*pooled, false)) {
        const auto total = add("sum", Add{}, {*logits, *again}, sum(range(*logits), range(*again)));
        return total ? relu(*total).value_or(*total) : *again;
      }
    return *logits;
  }

  // A border that passes other than assign_borders have to keep.
  void border() { builder_.node(last_).type.border = {between(0, 2), between(0, 2), between(0, 2), between(0, 2)}; }
};

}  // namespace

Graph random_graph(unsigned seed, bool wide) {
  return Generator(seed, wide).graph();
}

}  // namespace resnetc
