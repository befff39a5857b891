// What people read of a node: its steps, its shape, and numbers of a readable length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

// One thing that a node does; a fused node does several.
struct NodeStep {
  std::string op;      // the name of an op, which says the colour
  std::string what;    // "conv2d 3×3"
  std::string detail;  // "64 → 128, stride 2"; may be empty
};

// In order; more than one for a fused node.
std::vector<NodeStep> steps_of(const Graph& graph, Value value);

// "conv2d 3×3, 64 → 128, stride 2 | relu"
std::string steps_text(const Graph& graph, Value value);

// "56×56×64" of an image (height, width, channels), "1000" of a vector.
std::string shape_text(const TensorType& type);

// "11.7 M", "512": three figures and a power of 1000.
std::string short_number(int64_t number);
// "44.6 MiB"
std::string short_bytes(uint64_t bytes);

// UTF-8 text of at most so many characters, its middle left out if need be.
std::string shortened(std::string_view text, size_t most);
size_t character_count(std::string_view text);

// For each node the trainable values that it is the first to read; their sum is parameter_count().
std::vector<int64_t> parameter_counts(const Graph& graph);

}  // namespace resnetc
