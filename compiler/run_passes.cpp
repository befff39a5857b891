#include <fmt/format.h>

#include "compiler/passes.h"
#include "ir/verify.h"

namespace resnetc {

Graph run_passes(Graph graph, std::string_view last, DType weights, Device device) {
  verify(graph);
  for (const Pass& pass : passes) {
    const bool wanted = pass.weights == DType::f32 || pass.weights == weights;
    if (wanted && (device == Device::cpu || pass.for_devices)) graph = pass.run(graph);
    try {
      verify(graph);
    } catch (const Error& e) {
      throw std::logic_error(fmt::format("after pass {}: {}", pass.name, e.what()));
    }
    if (pass.name == last) break;
  }
  return graph;
}

}  // namespace resnetc
