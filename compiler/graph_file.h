// A model file of the graph form, and what the command line may change in it.
#pragma once

#include "compiler/graph_json.h"

namespace resnetc {

struct GraphFile : ModelFile {
  Graph graph;                   // one output; nothing in it that the output does not need
  std::filesystem::path labels;  // as seen from the working directory; empty: none
};

// size: replaces the input's. Throws Error naming the file, the JSON path and the fix.
GraphFile read_graph_file(const JsonValue& json, const std::filesystem::path& file, std::optional<Hw> size);

// --classes: gives the dense layer at the output as many channels. Throws Error if there is none or it shares weights.
void set_classes(Graph& graph, int classes);

// --no-head: leaves out the dense layer at the output and the average pool before it. An image as output stays. Throws
// Error if the output is anything else.
void cut_head(Graph& graph);

// The tensors of the dense layer at the output, if there is one.
std::vector<std::string> head_tensors(const Graph& graph);

}  // namespace resnetc
