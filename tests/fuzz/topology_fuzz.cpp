// Topology files, block and graph form: from JSON to a graph, through its text form and through all passes.
#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/random_weights.h"
#include "ir/text.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

// Follows from the text, so that an input says the same whenever it is run.
ModelOptions options_of(const uint8_t* data, size_t size) {
  ModelOptions options;
  const unsigned choice = size > 0 ? data[size / 2] % 16u : 0;
  options.no_head = choice == 1;
  if (choice == 2) options.classes = 3;
  if (choice == 3) options.size = Hw{9, 7};
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MemoryFile file;
  file.set(data, size);
  try {
    const Model model = read_model(file.path(), options_of(data, size));
    if (model.graph.nodes.size() > 1000) return 0;
    promise(parse(print(model.graph)) == model.graph, "a graph that is printed and parsed is the same");
    if (parameter_count(model.graph) > 20'000) return 0;
    Graph graph = model.graph;
    fill_random_weights(graph, 1);
    run_passes(std::move(graph));  // each verifies its result
  } catch (const Error& error) {
    const std::string_view message = error.what();
    promise_message(message, message.starts_with("--") ? "--" : file.path());
  }
  return 0;
}
