// What changes dimensions only, and Pad and Slice, which wait for a node that takes them in.
#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <numeric>

#include "compiler/import/fold_constants.h"
#include "compiler/import/translation.h"
#include "compiler/json_reader.h"

namespace resnetc {
namespace {

[[noreturn]] void fail_reshape(const Translation& to, const OnnxNode& node, const Activation& x, const Shape& target) {
  const bool is_flattened_image = to.is_image(x) && to.shape_of(x).size() > target.size();
  node.fail(fmt::format("cannot make {} of {}{}", shape_text(target), shape_text(to.shape_of(x)),
                        is_flattened_image ? "; only an image of one pixel can become a vector, such as a global "
                                             "average pool makes"
                                           : ""));
}

// A single pixel as a vector.
Activation without_sides(Translation& to, const OnnxNode& node, Activation x) {
  const auto is_side = [](Axis axis) { return axis == Axis::height || axis == Axis::width; };
  if (!to.is_image(x) || to.type(x.value).height() != 1 || to.type(x.value).width() != 1) return x;
  x = to.settled(node, x);
  x.value = to.builder.add(node.name(), GlobalAveragePool{}, {x.value});
  std::replace_if(x.axes.begin(), x.axes.end(), is_side, Axis::one);
  return x;
}

// x with the dimensions of target, of which each is a size, run_time_batch or -1: those of x in their order, and ones.
std::optional<std::vector<Axis>> matched(const Translation& to, const Activation& x, Shape target) {
  const Shape from = to.shape_of(x);
  int64_t rest = 1;
  for (int64_t side : from)
    if (side != run_time_batch && __builtin_mul_overflow(rest, side, &rest)) return std::nullopt;
  int64_t known = 1;
  for (int64_t side : target)
    if (side != run_time_batch && side != -1 && (side < 1 || __builtin_mul_overflow(known, side, &known)))
      return std::nullopt;
  for (int64_t& side : target)
    if (side == -1) side = rest / known;
  std::vector<Axis> axes;
  size_t next = 0;
  for (int64_t side : target) {
    while (next < from.size() && x.axes[next] == Axis::one) next++;
    if (next < from.size() && from[next] == side) {
      axes.push_back(x.axes[next++]);
    } else if (side == 1) {
      axes.push_back(Axis::one);
    } else {
      return std::nullopt;
    }
  }
  while (next < from.size() && x.axes[next] == Axis::one) next++;
  if (next != from.size()) return std::nullopt;
  return axes;
}

Activation reshaped(Translation& to, const OnnxNode& node, Activation x, const Shape& target) {
  constexpr size_t most_dimensions = 8;
  const auto has = [&](int64_t side) { return std::find(target.begin(), target.end(), side) != target.end(); };
  if (target.size() > most_dimensions || std::count(target.begin(), target.end(), -1) > 1 ||
      std::count(target.begin(), target.end(), run_time_batch) > 1)
    fail_reshape(to, node, x, target);
  std::vector<Shape> candidates;
  if (has(run_time_batch)) {
    candidates.push_back(target);
  } else {
    // The file's batch, or else the free dimension, is that of run time.
    Shape with_batch = target;
    if (!target.empty() && target[0] == to.file_batch) {
      with_batch[0] = run_time_batch;
      candidates.push_back(with_batch);
    }
    with_batch = target;
    std::replace(with_batch.begin(), with_batch.end(), int64_t{-1}, run_time_batch);
    candidates.push_back(with_batch);
  }
  const auto match = [&] {
    for (const Shape& candidate : candidates)
      if (auto axes = matched(to, x, candidate)) return axes;
    return std::optional<std::vector<Axis>>();
  };
  std::optional<std::vector<Axis>> axes = match();
  if (!axes) {
    x = without_sides(to, node, std::move(x));
    axes = match();
  }
  if (!axes) fail_reshape(to, node, x, target);
  x.axes = *axes;
  return x;
}

Shape reshape_target(const Translation& to, const OnnxNode& node, const Activation& x) {
  Shape target = node.integers(size_t{1});
  const Shape from = to.shape_of(x);
  // A 0 then is a dimension without elements, of which no image has one.
  if (node.integer("allowzero", 0) != 0) return target;
  for (size_t i = 0; i < target.size() && i < from.size(); i++)
    if (target[i] == 0) target[i] = from[i];
  return target;
}

Shape flatten_target(const Translation& to, const OnnxNode& node, const Activation& x) {
  const Shape from = to.shape_of(x);
  const int64_t axis = node.integer("axis", 1);
  if ((axis != 1 && axis != 1 - static_cast<int64_t>(from.size())) || from.empty() || from[0] != run_time_batch)
    node.fail(fmt::format("axis={} of {} is not taken, only 1 with the batch before it", axis, shape_text(from)));
  return {run_time_batch, -1};
}

Shape squeeze_target(const Translation& to, const OnnxNode& node, const Activation& x) {
  const Shape from = to.shape_of(x);
  const auto axes = axes_of(node, 1, 13);
  std::vector<int> dropped;
  if (axes) dropped = resolve_axes(node, *axes, from.size());
  Shape target;
  for (size_t i = 0; i < from.size(); i++) {
    const bool is_dropped = axes ? std::find(dropped.begin(), dropped.end(), i) != dropped.end() : from[i] == 1;
    if (is_dropped && from[i] != 1) node.fail(fmt::format("dimension {} of {} is not 1", i, shape_text(from)));
    if (!is_dropped) target.push_back(from[i]);
  }
  return target;
}

Shape unsqueeze_target(const Translation& to, const OnnxNode& node, const Activation& x) {
  const Shape from = to.shape_of(x);
  const std::vector<int64_t> axes = axes_of(node, 1, 13).value_or(std::vector<int64_t>{});
  if (axes.size() > 4) node.fail("adds more than 4 dimensions");
  Shape target(from.size() + axes.size(), 0);
  for (int axis : resolve_axes(node, axes, target.size())) target[static_cast<size_t>(axis)] = 1;
  auto next = from.begin();
  for (int64_t& side : target)
    if (side == 0) side = *next++;
  return target;
}

Activation transposed(const OnnxNode& node, Activation x) {
  std::vector<int64_t> reversed(x.axes.size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  const std::vector<int> order = resolve_axes(node, node.integers("perm", reversed), x.axes.size());
  if (order.size() != x.axes.size()) node.fail("perm must name every dimension");
  const std::vector<Axis> from = x.axes;
  for (size_t i = 0; i < order.size(); i++) x.axes[i] = from[static_cast<size_t>(order[i])];
  return x;
}

Activation cast(const OnnxNode& node, const Activation& x) {
  using onnx::TensorProto;
  const int64_t type = node.integer("to", 0);
  node.ignore("saturate");
  if (type != TensorProto::FLOAT && type != TensorProto::FLOAT16 && type != TensorProto::BFLOAT16 &&
      type != TensorProto::DOUBLE)
    node.fail(fmt::format("casts to type {} of ONNX; only floating-point types are taken", type));
  return x;
}

Activation softmax(const Translation& to, const OnnxNode& node, Activation x) {
  const auto rank = static_cast<int64_t>(x.axes.size());
  const int64_t axis = node.integer("axis", node.opset() < 13 ? 1 : -1);
  const int64_t at = axis < 0 ? axis + rank : axis;
  const bool is_over_channels = at >= 0 && at < rank && x.axes[static_cast<size_t>(at)] == Axis::channel;
  if (!is_over_channels || to.is_image(x)) node.fail("is taken over the classes only, as the last node of a model");
  x.is_softmax = true;
  return x;
}

}  // namespace

Activation translate_layout(Translation& to, const OnnxNode& node) {
  const auto* found = std::get_if<Activation>(&node.at(0));
  if (!found) node.fail(fmt::format("input 0, {}, is a constant; it must be computed", quote(node.input_name(0))));
  const Activation& x = *found;
  const std::string& op = node.op();
  if (op == "Identity") return x;
  if (op == "Dropout") {
    for (const char* ignored : {"ratio", "seed", "is_test"}) node.ignore(ignored);
    if (node.find(2)) {
      const std::vector<int64_t>& training = node.integers(size_t{2});
      if (training.size() != 1 || training[0] != 0) node.fail("is in training mode; export the model for inference");
    }
    return x;
  }
  if (op == "Cast") return cast(node, x);
  if (op == "Softmax") return softmax(to, node, node.activation(0));
  if (op == "Transpose") return transposed(node, x);
  if (op == "Flatten") return reshaped(to, node, x, flatten_target(to, node, x));
  if (op == "Squeeze") return reshaped(to, node, x, squeeze_target(to, node, x));
  if (op == "Unsqueeze") return reshaped(to, node, x, unsqueeze_target(to, node, x));
  return reshaped(to, node, x, reshape_target(to, node, x));
}

Activation translate_slice(Translation& to, const OnnxNode& node) {
  constexpr int most_step = 4096;
  Activation x = node.activation(0);
  const Shape shape = to.shape_of(x);
  for (const SliceRange& range : slice_ranges(node, shape)) {
    const auto d = static_cast<size_t>(range.axis);
    if (range.start == 0 && range.step == 1 && range.count == shape[d]) continue;
    int* step = x.axes[d] == Axis::height ? &x.subsample.h : x.axes[d] == Axis::width ? &x.subsample.w : nullptr;
    const bool takes_every = range.start == 0 && range.step > 0 && range.count == (shape[d] - 1) / range.step + 1;
    if (!step || !takes_every)
      node.fail(
          fmt::format("takes a part of dimension {} of {}; only every n-th row and column from the first on is "
                      "taken",
                      range.axis, shape_text(shape)));
    if (x.zeros != Sides{}) node.fail("takes rows or columns of an image that is padded");
    if (range.step > most_step / *step) node.fail(fmt::format("takes every {}-th row or column", range.step));
    *step *= static_cast<int>(range.step);
  }
  return x;
}

Activation translate_pad(Translation& to, const OnnxNode& node) {
  constexpr int most_pad = 65536;
  if (const std::string mode = node.text("mode", "constant"); mode != "constant")
    node.fail(fmt::format("mode={} is not taken, only constant", quote(mode)));
  const bool in_attributes = node.opset() < 11;
  std::vector<int64_t> pads = in_attributes ? node.integers("pads", {}) : node.integers(size_t{1});
  double value = in_attributes ? node.number("value", 0) : 0;
  if (!in_attributes && node.find(2) && !node.floats(2).empty()) value = node.floats(2)[0];
  if (value != 0) node.fail(fmt::format("pads with {}, only 0 is taken", value));
  Activation x = node.activation(0);
  std::vector<int64_t> axes(x.axes.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (!in_attributes && node.find(3)) axes = node.integers(size_t{3});
  const std::vector<int> resolved = resolve_axes(node, axes, x.axes.size());
  if (pads.size() != 2 * resolved.size())
    node.fail(fmt::format("has {} pads for {} dimensions", pads.size(), resolved.size()));
  bool pads_any = false;
  for (int64_t pad : pads) {
    if (pad < 0 || pad > most_pad) node.fail(fmt::format("pads by {}; from 0 to {} are taken", pad, most_pad));
    pads_any |= pad != 0;
  }
  if (!pads_any) return x;
  if (x.affine) {
    // The zeros come after the multiplication and addition.
    const Hw subsample = std::exchange(x.subsample, Hw{});
    x = to.settled(node, x);
    x.subsample = subsample;
  }
  for (size_t i = 0; i < resolved.size(); i++) {
    const auto before = static_cast<int>(pads[i]), after = static_cast<int>(pads[i + resolved.size()]);
    const Axis axis = x.axes[static_cast<size_t>(resolved[i])];
    if ((axis == Axis::batch || axis == Axis::one) && before + after > 0)
      node.fail(fmt::format("pads dimension {} of {}; only channels, height and width are padded", resolved[i],
                            shape_text(to.shape_of(x))));
    if (axis == Axis::channel) x.channels_before += before, x.channels_after += after;
    if (axis == Axis::height) x.zeros.top += before, x.zeros.bottom += after;
    if (axis == Axis::width) x.zeros.left += before, x.zeros.right += after;
    for (int sum : {x.channels_before, x.channels_after, x.zeros.top, x.zeros.left, x.zeros.bottom, x.zeros.right})
      if (sum > most_pad) node.fail(fmt::format("pads by {} in all, at most {} are taken", sum, most_pad));
  }
  return x;
}

}  // namespace resnetc
