// Conv and pools.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/import/fold_constants.h"
#include "compiler/import/translation.h"
#include "compiler/json_reader.h"

namespace resnetc {
namespace {

struct Windows {
  Hw kernel, stride{1, 1}, dilation{1, 1};
  Sides padding;
};

int bounded(const OnnxNode& node, std::string_view what, int64_t value, int64_t least) {
  constexpr int64_t most = 65536;
  if (value < least || value > most)
    node.fail(fmt::format("{} must be from {} to {}, got {}", what, least, most, value));
  return static_cast<int>(value);
}

Hw two(const OnnxNode& node, std::string_view attribute) {
  const std::vector<int64_t> values = node.integers(attribute, {1, 1});
  if (values.size() != 2) node.fail(fmt::format("{} must have 2 values, got {}", attribute, values.size()));
  return {bounded(node, attribute, values[0], 1), bounded(node, attribute, values[1], 1)};
}

// Pixels that a window spans.
int64_t span(int kernel, int dilation) {
  return int64_t{kernel - 1} * dilation + 1;
}

// What ceil_mode adds at the end, for one more window; one that would begin behind the image and what pads it on the
// left is left out, as PyTorch and ONNX Runtime do.
int64_t ceil_excess(int64_t size, int64_t before, int64_t after, int64_t window, int stride) {
  const int64_t rest = size + before + after - window;
  if (rest < 0) return 0;
  int64_t count = (rest + stride - 1) / stride + 1;
  if ((count - 1) * stride >= size + before) count--;
  return std::max<int64_t>((count - 1) * stride + window - (size + before + after), 0);
}

Windows windows_of(const OnnxNode& node, const Shape& image, Hw kernel) {
  Windows w{kernel, two(node, "strides"), two(node, "dilations"), {}};
  const int64_t height = image[2], width = image[3];
  const int64_t h = span(kernel.h, w.dilation.h), v = span(kernel.w, w.dilation.w);
  std::vector<int64_t> pads = node.integers("pads", {0, 0, 0, 0});
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    const auto excess = [](int64_t size, int64_t window, int stride) {
      return std::max<int64_t>((size - 1) / stride * stride + window - size, 0);
    };
    const int64_t rows = excess(height, h, w.stride.h), columns = excess(width, v, w.stride.w);
    const int64_t more = automatic == "SAME_LOWER" ? 1 : 0;  // an odd one comes first
    const int64_t top = (rows + more) / 2, left = (columns + more) / 2;
    pads = {top, left, rows - top, columns - left};
  } else if (automatic == "VALID") {
    pads = {0, 0, 0, 0};
  } else if (automatic != "NOTSET") {
    node.fail(fmt::format("auto_pad={} is not taken", quote(automatic)));
  }
  if (pads.size() != 4) node.fail(fmt::format("pads must have 4 values, got {}", pads.size()));
  for (int64_t pad : pads) bounded(node, "pads", pad, 0);
  if (node.integer("ceil_mode", 0) != 0) {
    pads[2] += ceil_excess(height, pads[0], pads[2], h, w.stride.h);
    pads[3] += ceil_excess(width, pads[1], pads[3], v, w.stride.w);
  }
  for (int64_t pad : pads) bounded(node, "pads", pad, 0);
  w.padding = {static_cast<int>(pads[0]), static_cast<int>(pads[1]), static_cast<int>(pads[2]),
               static_cast<int>(pads[3])};
  return w;
}

Sides sum(const Sides& a, const Sides& b) {
  return {a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right};
}

// A convolution of a single pixel.
Activation dense(Translation& to, const OnnxNode& node, const Activation& x) {
  const Shape& shape = node.constant(1).shape;
  const auto outputs = static_cast<size_t>(shape[0]);
  const int channels = to.type(x.value).channels();
  if (shape[2] != 1 || shape[3] != 1 || node.integer("group", 1) != 1 || shape[1] != channels)
    node.fail(fmt::format("weight {} of shape {} does not fit {}", quote(node.input_name(1)), shape_text(shape),
                          shape_text(to.shape_of(x))));
  if (windows_of(node, {0, 0, 1, 1}, {1, 1}).padding != Sides{}) node.fail("pads a single pixel, which is not taken");
  return add_dense(to, node, to.settled(node, x), node.input_name(1), node.floats(1), outputs,
                   node.find(2) ? node.input_name(2) : "", node.find(2) ? node.floats(2) : std::vector<float>{});
}

// After a ReLU, zeros around an image never are a maximum that minus infinity would not be.
bool is_rectified(const Translation& to, const Activation& x) {
  return std::holds_alternative<Relu>(to.builder.graph()[x.value].op);
}

Activation require_image(Translation& to, const OnnxNode& node, Activation x) {
  to.require_nchw(node, x);
  if (!to.is_image(x)) node.fail(fmt::format("input 0, {}, is no image any more", quote(node.input_name(0))));
  return x;
}

Hw kernel_of(const OnnxNode& node) {
  if (!node.has("kernel_shape")) node.fail("kernel_shape is missing");
  return two(node, "kernel_shape");
}

Activation global_average(Translation& to, const OnnxNode& node, const Activation& x) {
  Activation pooled = to.settled(node, x);
  pooled.value = to.builder.add(node.name(), GlobalAveragePool{}, {pooled.value});
  pooled.axes = {Axis::batch, Axis::channel, Axis::one, Axis::one};
  return pooled;
}

// The mean over rows or columns alone; what follows over the others makes it the mean over all.
Activation line_average(Translation& to, const OnnxNode& node, const Activation& x, bool over_height) {
  Activation line = to.settled(node, x);
  const TensorType& image = to.type(line.value);
  if ((over_height ? image.width() : image.height()) == 1) {
    const Node& producer = to.builder.graph()[line.value];
    const auto* pool = std::get_if<AveragePool>(&producer.op);
    const Value before = pool ? producer.inputs[0] : line.value;
    const Hw others = over_height ? Hw{1, to.type(before).width()} : Hw{to.type(before).height(), 1};
    if (pool && *pool == AveragePool{others, {1, 1}, {}}) line.value = before;
    return global_average(to, node, line);
  }
  const Hw all = over_height ? Hw{image.height(), 1} : Hw{1, image.width()};
  line.value = to.builder.add(node.name(), AveragePool{all, {1, 1}, {}}, {line.value});
  return line;
}

// The mean of a window whose padding counts as zeros: a convolution of every channel by itself.
Activation average_with_zeros(Translation& to, const OnnxNode& node, Activation x, const Windows& w) {
  const int channels = to.type(x.value).channels();
  const auto window = static_cast<size_t>(w.kernel.h) * static_cast<size_t>(w.kernel.w);
  const size_t count = element_count(Shape{channels, w.kernel.h, w.kernel.w});
  const Value weight = to.weight(node, node.name() + ".window", {channels, 1, w.kernel.h, w.kernel.w},
                                 std::vector<float>(count, 1.0f / static_cast<float>(window)));
  x.value = to.builder.add(node.name(), Conv2d{w.stride, {1, 1}, w.padding, channels, {}}, {x.value, weight});
  return x;
}

}  // namespace

Activation translate_conv(Translation& to, const OnnxNode& node) {
  Activation x = node.activation(0);
  const Shape& shape = node.constant(1).shape;
  if (shape.size() != 4)
    node.fail(fmt::format("weight {} of shape {} must be O x I x H x W", quote(node.input_name(1)), shape_text(shape)));
  const Hw kernel = {bounded(node, "the kernel's height", shape[2], 1),
                     bounded(node, "the kernel's width", shape[3], 1)};
  if (node.has("kernel_shape") && two(node, "kernel_shape") != kernel)
    node.fail(
        fmt::format("kernel_shape differs from that of weight {}, {}", quote(node.input_name(1)), shape_text(shape)));
  to.require_nchw(node, x);
  if (!to.is_image(x)) return dense(to, node, x);

  Windows w = windows_of(node, to.shape_of(x), kernel);
  // A 1x1 convolution of every second row and column strides.
  if (kernel == Hw{1, 1} && w.padding == Sides{} && x.zeros == Sides{}) {
    w.stride = {w.stride.h * x.subsample.h, w.stride.w * x.subsample.w};
    x.subsample = {};
  }
  x = to.settled_but_zeros(node, x);
  const Sides padding = sum(w.padding, std::exchange(x.zeros, Sides{}));
  std::vector<Value> inputs = {x.value, to.weight(node, node.input_name(1), shape, node.floats(1))};
  if (node.find(2)) inputs.push_back(to.weight(node, node.input_name(2), node.constant(2).shape, node.floats(2)));
  const int groups = bounded(node, "group", node.integer("group", 1), 1);
  x.value = to.builder.add(node.name(), Conv2d{w.stride, w.dilation, padding, groups, {}}, std::move(inputs));
  return x;
}

Activation translate_max_pool(Translation& to, const OnnxNode& node) {
  node.ignore("storage_order");
  Activation x = require_image(to, node, node.activation(0));
  Windows w = windows_of(node, to.shape_of(x), kernel_of(node));
  if (w.dilation != Hw{1, 1}) node.fail("dilations other than 1 are not taken");
  if (is_rectified(to, x) && !x.affine) {
    x = to.settled_but_zeros(node, x);
    w.padding = sum(w.padding, std::exchange(x.zeros, Sides{}));
  }
  x = to.settled(node, x);
  x.value = to.builder.add(node.name(), MaxPool{w.kernel, w.stride, w.padding}, {x.value});
  return x;
}

Activation translate_average_pool(Translation& to, const OnnxNode& node) {
  const bool counts_padding = node.integer("count_include_pad", 0) != 0;
  const bool ceils = node.integer("ceil_mode", 0) != 0;
  Activation x = to.settled_but_zeros(node, require_image(to, node, node.activation(0)));
  const Shape image = to.shape_of(x);
  Windows w = windows_of(node, image, kernel_of(node));
  if (w.dilation != Hw{1, 1}) node.fail("dilations other than 1 are not taken");
  const std::vector<int64_t> none = {0, 0, 0, 0};
  const bool is_padded =
      node.text("auto_pad", "NOTSET") == "NOTSET" ? node.integers("pads", none) != none : w.padding != Sides{};
  if (x.zeros != Sides{}) {
    // PyTorch writes padding that counts as a Pad of its own.
    if (w.padding != Sides{} && (ceils || !counts_padding))
      node.fail(fmt::format("input 0, {}, is padded, whose zeros count, while the pool's own padding does not",
                            quote(node.input_name(0))));
    w.padding = sum(w.padding, std::exchange(x.zeros, Sides{}));
    return average_with_zeros(to, node, x, w);
  }
  if (w.padding == Sides{} && w.kernel.h == image[2] && w.kernel.w == image[3]) return global_average(to, node, x);
  if (counts_padding && is_padded) {
    if (ceils) node.fail("count_include_pad with both pads and ceil_mode is not taken");
    return average_with_zeros(to, node, x, w);
  }
  x.value = to.builder.add(node.name(), AveragePool{w.kernel, w.stride, w.padding}, {x.value});
  return x;
}

Activation translate_global_average_pool(Translation& to, const OnnxNode& node) {
  const Activation& x = node.activation(0);
  to.require_nchw(node, x);
  return to.is_image(x) ? global_average(to, node, x) : x;
}

Activation translate_reduce_mean(Translation& to, const OnnxNode& node) {
  Activation x = node.activation(0);
  node.require("noop_with_empty_axes", 0, 0);
  const std::vector<int64_t> axes = axes_of(node, 1, 18).value_or(std::vector<int64_t>{});
  const std::vector<int> averaged = resolve_axes(node, axes, x.axes.size());
  const auto has = [&](Axis axis) {
    return std::any_of(averaged.begin(), averaged.end(), [&](int i) { return x.axes[static_cast<size_t>(i)] == axis; });
  };
  if (averaged.empty() || has(Axis::batch) || has(Axis::channel))
    node.fail("takes the mean of other dimensions than height and width");
  const std::vector<Axis> left = x.axes;
  if (has(Axis::height) != has(Axis::width)) {
    x = line_average(to, node, x, has(Axis::height));
  } else if (has(Axis::height)) {
    x = global_average(to, node, x);
  }
  const bool keeps = node.integer("keepdims", 1) != 0;
  x.axes.clear();
  for (size_t i = 0; i < left.size(); i++) {
    const bool is_averaged = std::find(averaged.begin(), averaged.end(), i) != averaged.end();
    if (keeps || !is_averaged) x.axes.push_back(is_averaged ? Axis::one : left[i]);
  }
  return x;
}

}  // namespace resnetc
