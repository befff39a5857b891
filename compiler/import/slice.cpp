#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "compiler/import/fold_constants.h"

namespace resnetc {

std::vector<int> resolve_axes(const OnnxNode& node, const std::vector<int64_t>& axes, size_t rank) {
  std::vector<int> resolved;
  for (int64_t axis : axes) {
    const int64_t from_front = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
    if (from_front < 0 || from_front >= static_cast<int64_t>(rank))
      node.fail(fmt::format("axis {} of {} dimensions does not exist", axis, rank));
    if (std::find(resolved.begin(), resolved.end(), from_front) != resolved.end())
      node.fail(fmt::format("axis {} is given twice", axis));
    resolved.push_back(static_cast<int>(from_front));
  }
  return resolved;
}

std::optional<std::vector<int64_t>> axes_of(const OnnxNode& node, size_t input, int first_opset) {
  if (node.opset() >= first_opset) {
    if (!node.find(input)) return std::nullopt;
    return node.integers(input);
  }
  if (!node.has("axes")) return std::nullopt;
  return node.integers("axes", {});
}

namespace {

struct SliceArguments {
  std::vector<int64_t> starts, ends, axes, steps;
};

SliceArguments arguments_of(const OnnxNode& node) {
  SliceArguments given;
  if (node.opset() < 10) {
    given = {node.integers("starts", {}), node.integers("ends", {}), node.integers("axes", {}), {}};
  } else {
    given = {node.integers(size_t{1}), node.integers(size_t{2}), {}, {}};
    if (node.find(3)) given.axes = node.integers(size_t{3});
    if (node.find(4)) given.steps = node.integers(size_t{4});
  }
  const size_t count = given.starts.size();
  if (given.axes.empty()) {
    given.axes.resize(count);
    std::iota(given.axes.begin(), given.axes.end(), 0);
  }
  if (given.steps.empty()) given.steps.assign(count, 1);
  if (given.ends.size() != count || given.axes.size() != count || given.steps.size() != count)
    node.fail(fmt::format("has {} starts, {} ends, {} axes and {} steps", count, given.ends.size(), given.axes.size(),
                          given.steps.size()));
  return given;
}

// ONNX's rules for bounds outside the dimension.
SliceRange range_of(int axis, int64_t size, int64_t start, int64_t end, int64_t step) {
  const auto clamped = [size](int64_t at, int64_t least, int64_t most) {
    return std::clamp(at < 0 ? at + size : at, least, most);
  };
  if (size == 0) return {axis, 0, step, 0};
  if (step > 0) {
    start = clamped(start, 0, size), end = clamped(end, 0, size);
    return {axis, start, step, end > start ? (end - start - 1) / step + 1 : 0};
  }
  start = clamped(start, 0, size - 1), end = clamped(end, -1, size - 1);
  return {axis, start, step, start > end ? (end - start + 1) / step + 1 : 0};
}

}  // namespace

std::vector<SliceRange> slice_ranges(const OnnxNode& node, const Shape& shape) {
  constexpr int64_t most_step = int64_t{1} << 31;
  const SliceArguments given = arguments_of(node);
  const std::vector<int> axes = resolve_axes(node, given.axes, shape.size());
  std::vector<SliceRange> ranges;
  for (size_t i = 0; i < axes.size(); i++) {
    const int64_t step = given.steps[i];
    if (step == 0 || step > most_step || step < -most_step) node.fail(fmt::format("step {} is not taken", step));
    if (given.starts[i] == run_time_batch || given.ends[i] == run_time_batch)
      node.fail("starts or ends at the size of the batch, which is known at run time only");
    const int64_t size = shape[static_cast<size_t>(axes[i])];
    if (size == run_time_batch) {
      if (given.starts[i] != 0 || given.ends[i] < std::numeric_limits<int32_t>::max() || step != 1)
        node.fail("takes a part of the batch; take all of it");
      continue;
    }
    ranges.push_back(range_of(axes[i], size, given.starts[i], given.ends[i], step));
  }
  return ranges;
}

}  // namespace resnetc
