// The passes, in the order in which they run. Each is a free function Graph -> Graph with its law above it; verify()
// holds after every one, and each leaves what evaluate() computes unchanged (up to rounding where weights are folded,
// or stored in fewer bits where that is asked for).
#pragma once

#include <string_view>

#include "ir/graph.h"
#include "schedules/device.h"

namespace resnetc {

Graph fold_batch_norm(const Graph& graph);
Graph fuse_residual_add(const Graph& graph);
Graph fuse_relu(const Graph& graph);
Graph fuse_max_pool(const Graph& graph);
Graph fuse_global_average_pool(const Graph& graph);
Graph fuse_projection(const Graph& graph);
// For vectors of so many lanes.
inline constexpr int interleaved_lanes = 16;
Graph interleave_groups(const Graph& graph);
Graph store_weights(const Graph& graph);
Graph assign_borders(const Graph& graph);

// What the passes ask of what a graph is compiled for.
struct PassTarget {
  DType weights = DType::f32;  // how those of convolutions and dense layers are to be stored
  Device device = Device::cpu;
  int lanes = interleaved_lanes;  // float32 ones of a vector register
};
struct Machine;
PassTarget pass_target(const Machine& machine, DType weights = DType::f32);

struct Pass {
  std::string_view name;
  Graph (*run)(const Graph&);
  bool (*wanted)(const PassTarget&) = nullptr;  // where it runs; NULL: everywhere
};

inline constexpr Pass passes[] = {
    {"fold_batch_norm", fold_batch_norm},
    {"fuse_residual_add", fuse_residual_add},
    {"fuse_relu", fuse_relu},
    {"fuse_max_pool", fuse_max_pool},
    {"fuse_global_average_pool", fuse_global_average_pool},
    // Devices have no kernels for these two.
    {"fuse_projection", fuse_projection, [](const PassTarget& target) { return target.device == Device::cpu; }},
    {"interleave_groups", interleave_groups,
     [](const PassTarget& target) { return target.device == Device::cpu && target.lanes == interleaved_lanes; }},
    {"store_weights", store_weights, [](const PassTarget& target) { return target.weights == DType::bf16; }},
    {"assign_borders", assign_borders},
};

// bf16 where store_weights has run.
DType weights_storage(const Graph& graph);

// The graph after the pass of that name and all before it that the target wants, verified after each; after all passes
// for "".
Graph run_passes(Graph graph, std::string_view last = "", const PassTarget& target = {});

}  // namespace resnetc
