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
Graph store_weights(const Graph& graph);
Graph assign_borders(const Graph& graph);

struct Pass {
  std::string_view name;
  Graph (*run)(const Graph&);
  DType weights = DType::f32;  // it runs only where weights are to be stored so; f32: always
  bool for_devices = true;     // whether kernels of devices can do what it makes
};

inline constexpr Pass passes[] = {
    {"fold_batch_norm", fold_batch_norm},
    {"fuse_residual_add", fuse_residual_add},
    {"fuse_relu", fuse_relu},
    {"fuse_max_pool", fuse_max_pool},
    {"fuse_global_average_pool", fuse_global_average_pool},
    {"fuse_projection", fuse_projection, DType::f32, false},
    {"store_weights", store_weights, DType::bf16},
    {"assign_borders", assign_borders},
};

// bf16 where store_weights has run.
DType weights_storage(const Graph& graph);

// The graph after the pass of that name and all before it, verified after each; after all passes for "". weights: how
// those of convolutions and dense layers are stored. Without those that are for the CPU alone if kernels run on a
// device.
Graph run_passes(Graph graph, std::string_view last = "", DType weights = DType::f32, Device device = Device::cpu);

}  // namespace resnetc
