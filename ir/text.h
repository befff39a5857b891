// The text form of a graph; print and parse are exact inverses (but for the values of weights).
//
//   graph block {
//     %x = input : f32[n,56,56,64] border=1
//     %w = weight "conv1.weight" sha256=… : f32[64,3,3,64]
//     %y = conv2d(%x, %w, %b) padding=1 | add(%x) | relu : f32[n,56,56,64]
//     return %y
//   }
//
// A weight that is stored as bf16 has bf16 in place of f32. Attributes stand only where they differ from their default;
// "#" starts a comment.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace resnetc {

std::string print(const Graph& graph);
std::string print_node(const Graph& graph, Value value);

// Throws Error "line 3: …". The result passes verify().
Graph parse(std::string_view text);

}  // namespace resnetc
