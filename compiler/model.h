// A model as it comes from its topology file and its weights: the graph as written, nothing folded or fused.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "runtime/description.h"

namespace resnetc {

struct Model {
  std::string name;
  Graph graph;  // one Input, one output: [n, classes] with a head, else the last stage's image
  std::optional<rn_preprocess> preprocess;
  std::vector<std::string> labels;  // one a class, or none
  bool has_head = true;
};

// What the command line may change in a topology.
struct ModelOptions {
  std::optional<int> classes;
  std::optional<Hw> size;  // of the input and the crop; `resize` is scaled with it
  bool no_head = false;
  std::filesystem::path labels;  // empty: as the topology says
  bool ignore_extra = false;     // tensors that the topology does not use are a warning, not an error
};

// The model that a file of either form describes, its weights without values. Throws Error naming the file, the JSON
// path and the fix.
Model read_model(const std::filesystem::path& topology, const ModelOptions& options);

// The same with values. weights: a .safetensors file, or "random:SEED" for variance-preserving random weights. Throws
// Error naming the file, the tensor and the fix too; warnings go to standard error.
Model load_model(const std::filesystem::path& topology, const std::string& weights, const ModelOptions& options);

}  // namespace resnetc
