#include "compiler/import/fold_constants.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace resnetc {
namespace {

// What one dimension of a result takes from the operand: for each index, how many elements to go on.
using Steps = std::vector<size_t>;

std::vector<size_t> strides_of(const Shape& shape) {
  std::vector<size_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * static_cast<size_t>(shape[i]);
  return strides;
}

void require_small(const OnnxNode& node, const Shape& shape, const Constant::Values& kind) {
  const size_t size = std::visit([](const auto& list) { return sizeof list[0]; }, kind);
  if (element_count(shape) > most_folded_bytes / size)
    node.fail(fmt::format("makes a constant {} of more than {} MiB", shape_text(shape), most_folded_bytes >> 20));
}

// The result whose element at (i, j, …) is the operand's at steps[0][i] + steps[1][j] + ….
Constant taken(const OnnxNode& node, const Constant& from, const std::vector<Steps>& steps) {
  Shape shape;
  for (const Steps& dimension : steps) shape.push_back(static_cast<int64_t>(dimension.size()));
  const size_t count = element_count(shape);
  if (count > element_count(from.shape)) require_small(node, shape, *from.values);
  return std::visit(
      [&](const auto& values) {
        std::vector<typename std::decay_t<decltype(values)>::value_type> result;
        result.reserve(count);
        std::vector<size_t> index(steps.size(), 0);
        for (size_t n = 0; n < count; n++) {
          size_t at = 0;
          for (size_t d = 0; d < steps.size(); d++) at += steps[d][index[d]];
          result.push_back(values[at]);
          for (size_t d = steps.size(); d-- > 0 && ++index[d] == steps[d].size();) index[d] = 0;
        }
        return make_constant(std::move(shape), std::move(result));
      },
      *from.values);
}

// The steps that leave each dimension as it is.
std::vector<Steps> all_of(const Shape& shape) {
  const std::vector<size_t> strides = strides_of(shape);
  std::vector<Steps> steps(shape.size());
  for (size_t d = 0; d < shape.size(); d++)
    for (size_t i = 0; i < static_cast<size_t>(shape[d]); i++) steps[d].push_back(i * strides[d]);
  return steps;
}

Constant reshaped(const OnnxNode& node, const Constant& from, const Shape& shape) {
  const bool fits =
      std::find(shape.begin(), shape.end(), -1) == shape.end() && element_count(shape) == element_count(from.shape);
  if (!fits) node.fail(fmt::format("cannot make {} of {}", shape_text(shape), shape_text(from.shape)));
  return {shape, from.values};
}

Constant reshape(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  Shape shape = node.integers(size_t{1});
  if (shape.size() > 8) node.fail("makes more than 8 dimensions");
  const bool copies_zeros = node.integer("allowzero", 0) == 0;
  size_t known = 1;
  for (size_t i = 0; i < shape.size(); i++) {
    if (shape[i] == 0 && copies_zeros && i < from.shape.size()) shape[i] = from.shape[i];
    if (shape[i] != -1 && (shape[i] < 0 || __builtin_mul_overflow(known, static_cast<size_t>(shape[i]), &known)))
      node.fail(fmt::format("cannot make {}", shape_text(shape)));
  }
  const auto free = std::find(shape.begin(), shape.end(), -1);
  if (free != shape.end() && known != 0) *free = static_cast<int64_t>(element_count(from.shape) / known);
  return reshaped(node, from, shape);
}

Constant squeeze(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  const auto axes = axes_of(node, 1, 13);
  std::vector<int> dropped;
  if (axes) dropped = resolve_axes(node, *axes, from.shape.size());
  Shape shape;
  for (size_t d = 0; d < from.shape.size(); d++) {
    const bool is_named = std::find(dropped.begin(), dropped.end(), d) != dropped.end();
    if (axes ? !is_named : from.shape[d] != 1) shape.push_back(from.shape[d]);
  }
  return reshaped(node, from, shape);
}

Constant unsqueeze(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  const std::vector<int64_t> axes = axes_of(node, 1, 13).value_or(std::vector<int64_t>{});
  if (axes.size() + from.shape.size() > 8) node.fail("makes more than 8 dimensions");
  Shape shape(from.shape.size() + axes.size(), 0);
  for (int axis : resolve_axes(node, axes, shape.size())) shape[static_cast<size_t>(axis)] = 1;
  auto next = from.shape.begin();
  for (int64_t& side : shape)
    if (side == 0) side = *next++;
  return reshaped(node, from, shape);
}

Constant transpose(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  std::vector<int64_t> reversed;
  for (size_t d = from.shape.size(); d-- > 0;) reversed.push_back(static_cast<int64_t>(d));
  const std::vector<int> order = resolve_axes(node, node.integers("perm", reversed), from.shape.size());
  if (order.size() != from.shape.size()) node.fail("perm must name every dimension");
  const std::vector<Steps> steps = all_of(from.shape);
  std::vector<Steps> result;
  for (int axis : order) result.push_back(steps[static_cast<size_t>(axis)]);
  return taken(node, from, result);
}

Constant slice(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  std::vector<Steps> steps = all_of(from.shape);
  for (const SliceRange& range : slice_ranges(node, from.shape)) {
    const auto axis = static_cast<size_t>(range.axis);
    const Steps all = std::move(steps[axis]);
    steps[axis].clear();
    for (int64_t i = 0; i < range.count; i++)
      steps[axis].push_back(all[static_cast<size_t>(range.start + i * range.step)]);
  }
  return taken(node, from, steps);
}

Constant gather(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  const Constant& indices = node.constant(1);
  const auto axis = static_cast<size_t>(resolve_axes(node, {node.integer("axis", 0)}, from.shape.size())[0]);
  if (indices.shape.size() > 1) node.fail("gathers by a tensor of indices; at most one dimension of them is taken");
  std::vector<Steps> steps = all_of(from.shape);
  const Steps all = std::move(steps[axis]);
  steps[axis].clear();
  const int64_t size = from.shape[axis];
  for (int64_t index : node.integers(size_t{1})) {
    if (index < -size || index >= size) node.fail(fmt::format("index {} is beyond {} elements", index, size));
    steps[axis].push_back(all[static_cast<size_t>(index < 0 ? index + size : index)]);
  }
  Constant result = taken(node, from, steps);
  // A single index, unlike a list of one, drops the dimension.
  if (indices.shape.empty()) result.shape.erase(result.shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return result;
}

Constant concat(const OnnxNode& node) {
  const Constant& first = node.constant(0);
  resolve_axes(node, {node.integer("axis", 0)}, first.shape.size());
  return std::visit(
      [&](const auto& kind) {
        std::decay_t<decltype(kind)> values;
        for (size_t i = 0; i < node.input_count(); i++) {
          const Constant& part = node.constant(i);
          if (part.shape.size() != 1 || part.values->index() != first.values->index())
            node.fail("joins constants of several dimensions or types; only lists of numbers are taken");
          const auto& more = std::get<std::decay_t<decltype(kind)>>(*part.values);
          values.insert(values.end(), more.begin(), more.end());
        }
        return make_list(std::move(values));
      },
      *first.values);
}

Constant cast(const OnnxNode& node) {
  const Constant& from = node.constant(0);
  const int64_t to = node.integer("to", 0);
  using onnx::TensorProto;
  const bool to_float = to == TensorProto::FLOAT || to == TensorProto::DOUBLE || to == TensorProto::FLOAT16;
  if (!to_float && to != TensorProto::INT64 && to != TensorProto::INT32)
    node.fail(fmt::format("casts to type {} of ONNX; float, int32 and int64 are taken", to));
  if (from.is_float() == to_float) return from;
  if (!to_float) {
    std::vector<int64_t> integers;
    for (float v : from.floats()) {
      if (!(v > -0x1p62f && v < 0x1p62f)) node.fail(fmt::format("{} is no integer", v));
      integers.push_back(static_cast<int64_t>(v));
    }
    return make_constant(from.shape, std::move(integers));
  }
  std::vector<float> floats;
  for (int64_t v : from.integers()) {
    if (v == run_time_batch) node.fail("makes a float of the size of the batch, which is known at run time only");
    floats.push_back(static_cast<float>(v));
  }
  return make_constant(from.shape, std::move(floats));
}

Constant constant_of_shape(const OnnxNode& node, const std::filesystem::path& model) {
  const Shape& shape = node.integers(size_t{0});
  if (shape.size() > 8) node.fail("makes more than 8 dimensions");
  const onnx::AttributeProto* value = node.attribute("value");
  const Constant one = value ? read_tensor(value->t(), model) : make_list(std::vector<float>{0});
  if (element_count(one.shape) != 1) node.fail("attribute value must hold one element");
  require_small(node, shape, *one.values);
  return std::visit(
      [&](const auto& values) {
        return make_constant(shape, std::decay_t<decltype(values)>(element_count(shape), values[0]));
      },
      *one.values);
}

Constant shape_of(const OnnxNode& node) {
  const Shape& shape = node.constant(0).shape;
  return make_list(shape);
}

// The shape that ONNX broadcasts two to.
Shape common_shape(const OnnxNode& node, const Shape& a, const Shape& b) {
  Shape shape(std::max(a.size(), b.size()), 1);
  for (const Shape* each : {&a, &b}) {
    for (size_t d = 0; d < each->size(); d++) {
      int64_t& side = shape[shape.size() - each->size() + d];
      if (side == 1) side = (*each)[d];
      if ((*each)[d] != 1 && (*each)[d] != side)
        node.fail(fmt::format("of constants {} and {}, which do not go together", shape_text(a), shape_text(b)));
    }
  }
  return shape;
}

Constant broadcast(const OnnxNode& node, const Constant& from, const Shape& shape) {
  if (from.shape == shape) return from;
  std::vector<Steps> steps = all_of(from.shape);
  steps.insert(steps.begin(), shape.size() - steps.size(), Steps{0});
  for (size_t d = 0; d < shape.size(); d++)
    if (steps[d].size() == 1) steps[d].resize(static_cast<size_t>(shape[d]), 0);
  return taken(node, from, steps);
}

Constant arithmetic(const OnnxNode& node) {
  if (node.constant(0).values->index() != node.constant(1).values->index()) node.fail("of constants of two types");
  const Shape shape = common_shape(node, node.constant(0).shape, node.constant(1).shape);
  const Constant a = broadcast(node, node.constant(0), shape), b = broadcast(node, node.constant(1), shape);
  const char op = node.op()[0];
  const auto compute = [&](auto x, auto y) -> decltype(x) {
    if constexpr (std::is_integral_v<decltype(x)>) {
      if (x == run_time_batch || y == run_time_batch)
        node.fail("computes with the size of the batch, which is known at run time only");
      decltype(x) result = 0;
      if (op == 'D' ? y == 0 || y == -1 : false) node.fail("divides by zero or -1");
      const bool overflows = op == 'A'   ? __builtin_add_overflow(x, y, &result)
                             : op == 'S' ? __builtin_sub_overflow(x, y, &result)
                             : op == 'M' ? __builtin_mul_overflow(x, y, &result)
                                         : false;
      if (overflows) node.fail("overflows");
      return op == 'D' ? x / y : result;
    } else {
      return op == 'A' ? x + y : op == 'S' ? x - y : op == 'M' ? x * y : x / y;
    }
  };
  return std::visit(
      [&](const auto& x) {
        const auto& y = std::get<std::decay_t<decltype(x)>>(*b.values);
        std::decay_t<decltype(x)> result(x.size());
        std::transform(x.begin(), x.end(), y.begin(), result.begin(), compute);
        return make_constant(shape, std::move(result));
      },
      *a.values);
}

// What a batch norm that is written out makes of a variance.
Constant function_of_one(const OnnxNode& node) {
  std::vector<float> values = node.floats(size_t{0});
  const char op = node.op()[0];
  for (float& value : values) value = op == 'S' ? std::sqrt(value) : op == 'R' ? 1 / value : -value;
  return make_constant(node.constant(0).shape, std::move(values));
}

}  // namespace

std::optional<Constant> fold_constants(const OnnxNode& node, const std::filesystem::path& model) {
  static const std::map<std::string, Constant (*)(const OnnxNode&), std::less<>> folds = {
      {"Add", arithmetic},       {"Cast", cast},       {"Concat", concat},       {"Div", arithmetic},
      {"Gather", gather},        {"Mul", arithmetic},  {"Neg", function_of_one}, {"Reciprocal", function_of_one},
      {"Sqrt", function_of_one}, {"Reshape", reshape}, {"Shape", shape_of},      {"Slice", slice},
      {"Squeeze", squeeze},      {"Sub", arithmetic},  {"Transpose", transpose}, {"Unsqueeze", unsqueeze}};
  if (node.op() == "Identity") return node.constant(0);
  if (node.op() == "ConstantOfShape") return constant_of_shape(node, model);
  const auto found = folds.find(node.op());
  if (found == folds.end()) return std::nullopt;
  return found->second(node);
}

}  // namespace resnetc
