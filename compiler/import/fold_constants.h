// Nodes that compute with constants alone: shapes, mostly.
#pragma once

#include <filesystem>
#include <optional>

#include "compiler/import/onnx_node.h"

namespace resnetc {

// What nodes may make of constants, one at a time and, beyond some times what the file holds, all together: more than
// any ResNet's largest weight, and little enough for a hostile file to ask for.
inline constexpr size_t most_folded_bytes = size_t{32} << 20;

// The result of a node whose operands are all constants; none if such a node is not known. Fails naming the node.
std::optional<Constant> fold_constants(const OnnxNode& node, const std::filesystem::path& model);

// What Slice leaves of one dimension: `count` elements from `start`, `step` apart.
struct SliceRange {
  int axis;
  int64_t start, step, count;
};

// Of a Slice of a tensor of that shape, one for each axis that it names.
std::vector<SliceRange> slice_ranges(const OnnxNode& node, const Shape& shape);

// Axes that count from the end when negative, each once.
std::vector<int> resolve_axes(const OnnxNode& node, const std::vector<int64_t>& axes, size_t rank);

// Attribute `axes`, or the operand that later opsets have in its place; none if neither is there.
std::optional<std::vector<int64_t>> axes_of(const OnnxNode& node, size_t input, int first_opset);

}  // namespace resnetc
