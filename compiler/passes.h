// The passes, in the order in which they run. Each is a free function Graph -> Graph with its law above it; verify()
// holds after every one, and each leaves what evaluate() computes unchanged (up to rounding where weights are folded).
#pragma once

#include <string_view>

#include "ir/graph.h"

namespace resnetc {

Graph fold_batch_norm(const Graph& graph);
Graph fuse_residual_add(const Graph& graph);
Graph fuse_relu(const Graph& graph);
Graph fuse_max_pool(const Graph& graph);
Graph fuse_global_average_pool(const Graph& graph);
Graph assign_borders(const Graph& graph);

struct Pass {
  std::string_view name;
  Graph (*run)(const Graph&);
};

inline constexpr Pass passes[] = {
    {"fold_batch_norm", fold_batch_norm},
    {"fuse_residual_add", fuse_residual_add},
    {"fuse_relu", fuse_relu},
    {"fuse_max_pool", fuse_max_pool},
    {"fuse_global_average_pool", fuse_global_average_pool},
    {"assign_borders", assign_borders},
};

// The graph after the pass of that name and all before it, verified after each; after all passes for "".
Graph run_passes(Graph graph, std::string_view last = "");

}  // namespace resnetc
