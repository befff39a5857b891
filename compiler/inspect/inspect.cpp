#include "compiler/inspect/inspect.h"

#include <fmt/format.h>

#include "compiler/passes.h"
#include "compiler/weight_blob.h"

namespace resnetc {
namespace {

const TensorType& input_type(const Graph& graph) {
  return std::find_if(graph.nodes.begin(), graph.nodes.end(),
                      [](const Node& node) { return std::holds_alternative<Input>(node.op); })
      ->type;
}

}  // namespace

std::vector<std::string> inspectable_passes() {
  std::vector<std::string> names = {"none"};
  for (const Pass& pass : passes) names.emplace_back(pass.name);
  return names;
}

Inspection inspect(const Model& model, Program program, const Machine& machine) {
  MemoryPlan plan = plan_memory(program, machine);
  return {model, std::move(program), std::move(plan)};
}

InspectedGraph graph_after(const Model& model, const std::string& pass, const PassTarget& target) {
  InspectedGraph result{pass, pass == "none" ? model.graph : run_passes(model.graph, pass, target)};
  digest_weights(result.graph);
  return result;
}

std::string inspect_svg(const Inspection& inspection, const std::vector<InspectedGraph>& graphs) {
  const Graph& written = inspection.model.graph;
  const std::string subtitle = fmt::format(
      "{} input → {} · {} parameters · {} multiply-accumulates · {} kernels, {} calls · {} of memory "
      "an image",
      shape_text(input_type(written)), shape_text(inspection.program.output), short_number(parameter_count(written)),
      short_number(mac_count(written)), inspection.program.kernels.size(), inspection.program.steps.size(),
      short_bytes(inspection.plan.arena_bytes));
  std::vector<GraphToDraw> drawn;
  for (const InspectedGraph& graph : graphs) {
    const auto nodes = std::count_if(graph.graph.nodes.begin(), graph.graph.nodes.end(),
                                     [](const Node& node) { return !std::holds_alternative<Weight>(node.op); });
    drawn.push_back({fmt::format("{} ({} nodes)", graph.pass == "none" ? "as written" : "after " + graph.pass, nodes),
                     &graph.graph});
  }
  return draw_svg(inspection.model.name, subtitle, drawn);
}

}  // namespace resnetc
