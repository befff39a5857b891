#include <fmt/format.h>

#include "compiler/passes.h"
#include "ir/verify.h"

namespace resnetc {

Graph run_passes(Graph graph, std::string_view last, const PassTarget& target) {
  verify(graph);
  for (const Pass& pass : passes) {
    if (!pass.wanted || pass.wanted(target)) graph = pass.run(graph);
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
