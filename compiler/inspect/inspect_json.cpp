#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/graph_json.h"
#include "compiler/inspect/inspect.h"
#include "compiler/inspect/recognise.h"

namespace resnetc {
namespace {

using Json = nlohmann::ordered_json;

Json dims(const TensorType& type) {
  if (!type.is_image()) return {type.channels()};
  return {type.channels(), type.height(), type.width()};
}

Json kernel_list(const Program& program) {
  std::vector<Json> calls(program.kernels.size(), Json::array());
  for (const Step& step : program.steps)
    calls[static_cast<size_t>(step.kernel)].push_back(step.value < 0 ? "output" : program.graph[step.value].name);
  Json list = Json::array();
  for (size_t k = 0; k < calls.size(); k++) {
    const Kernel& kernel = program.kernels[k];
    Json parameters = Json::object();
    for (const auto& [name, value] : kernel.choice.parameters) parameters[name] = value;
    list.push_back({{"key", to_string(kernel.key)},
                    {"strategy", kernel.choice.strategy},
                    {"parameters", std::move(parameters)},
                    {"flop", flop_count(kernel.key)},
                    {"nodes", std::move(calls[k])}});
  }
  return list;
}

Json memory(const Program& program, const MemoryPlan& plan) {
  Json tensors = Json::array();
  for (const MemoryPlan::Slot& slot : plan.slots)
    tensors.push_back({{"node", program.graph[slot.value].name},
                       {"offset", slot.offset},
                       {"bytes", slot.bytes},
                       {"first_step", slot.first_step},
                       {"last_step", slot.last_step},
                       {"border_shared", slot.border_shared}});
  return {{"arena_bytes", plan.arena_bytes},
          {"largest_live_bytes", plan.largest_live_bytes},
          {"tail_step", plan.has_tail() ? Json(plan.tail_step) : Json(nullptr)},
          {"tail_offset", plan.has_tail() ? Json(plan.tail_offset) : Json(nullptr)},
          {"tensors", std::move(tensors)}};
}

}  // namespace

std::string inspect_json(const Inspection& inspection, const InspectedGraph& graph) {
  const Graph& written = inspection.model.graph;
  const auto input = std::find_if(written.nodes.begin(), written.nodes.end(),
                                  [](const Node& node) { return std::holds_alternative<Input>(node.op); });
  Json model = graph_to_json(graph.graph);
  if (inspection.model.preprocess) {
    Json with_preprocess = Json::object();
    for (auto& [key, value] : model.items()) {
      with_preprocess[key] = value;
      if (key == "input")
        with_preprocess["preprocess"] = preprocess_to_json(*inspection.model.preprocess, input->type.channels());
    }
    model = std::move(with_preprocess);
  }
  Json family = nullptr;
  if (std::string text = recognise_resnet(written); !text.empty()) family = std::move(text);
  return print_json({{"name", inspection.model.name},
                     {"family", std::move(family)},
                     {"after", graph.pass},
                     {"input", dims(input->type)},
                     {"output", dims(inspection.program.output)},
                     {"parameters", parameter_count(written)},
                     {"macs", mac_count(written)},
                     {"kernels", kernel_list(inspection.program)},
                     {"memory", memory(inspection.program, inspection.plan)},
                     {"model", std::move(model)}});
}

}  // namespace resnetc
