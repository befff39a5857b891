// The graph form of a model file: every node of the IR spelled out. The attributes of an op are those of its `fields`
// in ir/ops.h, as in the text form, so that a new op needs nothing here.
//
//   "input": { "channels": 3, "height": 32, "width": 32 },
//   "graph": [
//     { "name": "conv1.weight", "op": "weight", "shape": [16, 3, 3, 3] },
//     { "name": "conv1", "op": "conv2d", "inputs": ["input", "conv1.weight"], "padding": 1 }, …
//   ],
//   "output": "fc"
//
// A weight's "shape" is that of the tensor in the file: a convolution's [out, in / groups, height, width] (PyTorch's
// OIHW), from which the IR's [out, height, width, in / groups] (OHWI) follows; all others are the same in both.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "compiler/json_reader.h"
#include "compiler/model_file.h"
#include "ir/graph.h"

namespace resnetc {

// The keys that "input" has in the graph form.
inline constexpr std::string_view graph_input_keys[] = {"name", "channels", "height", "width", "border"};

// Reads "input", "graph" and "output"; the input's size is the file's (which the command line may have changed). Throws
// Error naming the file, the JSON path and the fix. The result passes verify(), its weights have no values.
Graph graph_from_json(const JsonValue& json, const ModelFile& file);

// "name", "input", "graph" and "output". Its inverse is the above, except that the input comes first there.
nlohmann::ordered_json graph_to_json(const Graph& graph);

// "preprocess" as the reader takes it, for an input of so many channels.
nlohmann::ordered_json preprocess_to_json(const rn_preprocess& how, int channels);

// JSON in which an array of objects has a line for each element, and every object that holds such an array a line for
// each member.
std::string print_json(const nlohmann::ordered_json& json);

}  // namespace resnetc
