// The invariants of a graph, checked after every pass.
#pragma once

#include "ir/graph.h"

namespace resnetc {

// Throws Error naming the first node that breaks an invariant: operands are defined before use, names are unique and
// printable, types are the inferred ones and small enough for 32-bit indices, borders are on images only, outputs
// exist.
void verify(const Graph& graph);

// The same for one node, given that those before it are right; uniqueness of its name left out.
void verify_node(const Graph& graph, Value value);

}  // namespace resnetc
