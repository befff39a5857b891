// The text form of a graph: what is parsed is printed, and parses to the same.
#include "ir/text.h"
#include "tests/fuzz/check.h"

using namespace resnetc;
using namespace resnetc::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Graph graph;
  try {
    graph = parse({reinterpret_cast<const char*>(data), size});
  } catch (const Error& error) {
    promise_message(error.what(), "line ");
    return 0;
  }
  const std::string text = print(graph);
  const Graph again = parse(text);
  promise(again == graph, "a graph that is printed and parsed is the same");
  promise(print(again) == text, "its text is the same too");
  return 0;
}
