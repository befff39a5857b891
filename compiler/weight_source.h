// Where a graph's weights get their values from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compiler/rename_rule.h"
#include "ir/graph.h"

namespace resnetc {

struct WeightSource {
  std::filesystem::path file;    // .safetensors; empty if there is a seed
  std::optional<uint64_t> seed;  // of random weights
};

// "random:SEED" or the path of a file. Throws Error.
WeightSource parse_weight_source(const std::string& text);

struct WeightLoading {
  bool ignore_extra = false;              // tensors that the graph does not use are a warning, not an error
  std::string head_prefix;                // the head's tensors begin with it, if it is not empty,
  std::vector<std::string> head_tensors;  // or are these
  bool has_head = true;                   // false: those of a head are not missed and not left over
  std::vector<RenameRule> renames = {};   // applied in turn to the names of the file's tensors
};

// Gives every weight of the graph its values, found by the name of its tensor and brought into the graph's layout
// (convolutions OIHW -> OHWI), rounded where its type is bf16. A weight that says its SHA-256 must get values that have
// it. Throws Error naming the file, the tensor and the fix.
void load_weights(Graph& graph, const WeightSource& source, const WeightLoading& how);

}  // namespace resnetc
