// An ONNX model: what is imported is a graph that verifies, with a tensor for each of its weights.
#include <onnx/onnx.pb.h>

#include <unordered_set>

#include "compiler/import/read_onnx.h"
#include "compiler/import/translate_model.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"

using namespace resnetc;
using namespace resnetc::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    onnx::ModelProto proto;
    read_onnx(file.path(), proto);
    const TranslatedModel model = translate_model(proto, file.path(), "net", size % 2 == 0);
    verify(model.graph);
    promise(parse(print(model.graph)) == model.graph, "a graph that is printed and parsed is the same");
    std::unordered_set<std::string> tensors;
    for (const TensorToWrite& tensor : model.tensors) tensors.insert(tensor.name);
    for (const Node& node : model.graph.nodes)
      if (const auto* weight = std::get_if<Weight>(&node.op))
        promise(tensors.contains(weight->tensor), "every weight has values");
  } catch (const Error& error) {
    promise_message(error.what(), file.path());
  }
  return 0;
}
