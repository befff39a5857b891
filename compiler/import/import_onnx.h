// resnetc import: an ONNX model as a model file of the graph form and a weights file.
#pragma once

#include <filesystem>
#include <string>

namespace resnetc {

struct ImportOptions {
  std::filesystem::path model;   // .onnx
  std::filesystem::path output;  // the folder
  std::string preprocess;        // "imagenet", a JSON file with the object or a model file that has one; empty: none
  std::filesystem::path labels;  // copied; empty: none
};

// Writes NAME.json, NAME.safetensors and, with labels, NAME.txt, NAME being that of the model file. Says on standard
// error what it changed. Throws Error naming the file, the node, its operation and what is taken.
void import_onnx(const ImportOptions& options);

}  // namespace resnetc
