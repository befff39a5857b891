// A .safetensors file as the weights of a small net.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "compiler/model.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/memory_file.h"

using namespace resnetc;
using namespace resnetc::test;

namespace {

constexpr char topology[] = R"({"name": "tiny", "input": {"channels": 2, "height": 4, "width": 4}, "block": "basic",
  "stages": [{"blocks": 1, "channels": 2}], "head": {"classes": 2}, "weights": {"names": {"^net\\.": ""}}})";

uint64_t header_size(const uint8_t* data) {
  uint64_t size;
  std::memcpy(&size, data, 8);
  return size;
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Mutates the header or the data, and mostly lets the first 8 bytes be the header's size, or else hardly any input
// would come further.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (size < 8 || max_size < 16 || header_size(data) > size - 8 || random() % 16 == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  const auto header = static_cast<size_t>(header_size(data));
  const size_t rest = size - 8 - header;
  if (random() % 4 == 0) return 8 + header + LLVMFuzzerMutate(data + 8 + header, rest, max_size - 8 - header);
  const std::string tail(data + 8 + header, data + size);
  const uint64_t mutated = LLVMFuzzerMutate(data + 8, header, max_size - 8);
  std::memcpy(data, &mutated, 8);
  const size_t kept = std::min<size_t>(tail.size(), max_size - 8 - mutated);
  std::memcpy(data + 8 + mutated, tail.data(), kept);
  return 8 + mutated + kept;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MemoryFile net, weights;
  static const bool once = (net.set(topology, std::strlen(topology)), true);
  weights.set(data, size);
  try {
    const Model model = load_model(net.path(), weights.path(), {});
    for (const Node& node : model.graph.nodes)
      if (const auto* weight = std::get_if<Weight>(&node.op))
        for (float value : *weight->values) promise(once && std::isfinite(value), "weights are finite");
  } catch (const Error& error) {
    promise_message(error.what(), weights.path());
  }
  return 0;
}
