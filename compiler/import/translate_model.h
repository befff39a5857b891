// A whole ONNX model as a graph of the IR.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compiler/import/activation.h"
#include "compiler/safetensors_write.h"

namespace onnx {
class ModelProto;
}

namespace resnetc {

struct TranslatedModel {
  Graph graph;                          // verified; its weights have no values
  std::vector<TensorToWrite> tensors;   // of the graph's weights, as files have them
  std::optional<Affine> normalisation;  // of the input, left out of the graph
  bool was_nhwc = false;
  bool had_softmax = false;
};

// Throws Error naming the file, the node, its operation and what is taken. Parts of the model are freed on the way.
// normalises: images are preprocessed, and a normalisation of the input is left out of the graph, to be done there.
TranslatedModel translate_model(onnx::ModelProto& model, const std::filesystem::path& file, const std::string& name,
                                bool normalises);

}  // namespace resnetc
