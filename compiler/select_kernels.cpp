#include <fmt/format.h>

#include <algorithm>

#include "compiler/passes.h"
#include "compiler/program.h"

namespace resnetc {
namespace {

struct Selection {
  const Machine& machine;
  const ScheduleDb& records;
  int batch;
  const std::string& hardware;
  bool cold;
};

int kernel_for(Program& program, KernelKey key, const Selection& selection) {
  const auto found =
      std::find_if(program.kernels.begin(), program.kernels.end(), [&](const Kernel& k) { return k.key == key; });
  if (found != program.kernels.end()) return static_cast<int>(found - program.kernels.begin());
  const auto match =
      selection.records.find(key, selection.machine, selection.batch, selection.hardware, selection.cold);
  Choice choice = match ? match->choice : default_choice(key, selection.machine);
  const int64_t executed = executed_flop(key, choice, selection.machine);
  program.kernels.push_back({std::move(key), std::move(choice), match ? match->origin : "", executed});
  return static_cast<int>(program.kernels.size()) - 1;
}

}  // namespace

Program select_kernels(const Graph& graph, const Machine& machine, const ScheduleDb& records, int batch,
                       const std::string& hardware, bool cold) {
  if (graph.outputs.size() != 1)
    throw Error(fmt::format("graph {}: has {} outputs, one can be compiled", graph.name, graph.outputs.size()));
  Program program{graph, {}, {}, graph[graph.outputs[0]].type};
  const Selection selection{machine, records, batch, hardware, cold};
  const Value output = graph.outputs[0];
  const bool image_output = program.output.is_image();
  const auto operand = [&](Value v) -> ProgramOperand {
    if (std::holds_alternative<Weight>(graph[v].op)) return {ProgramOperand::weight, v};
    if (v == output && !image_output) return {ProgramOperand::caller_output, v};
    return {ProgramOperand::tensor, v};
  };
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    const auto value = static_cast<Value>(i);
    const Node& node = graph.nodes[i];
    if (std::holds_alternative<Weight>(node.op)) continue;
    Step step{kernel_for(program, key_of(graph, value), selection), {}, value};
    if (std::holds_alternative<Input>(node.op)) step.operands.push_back({ProgramOperand::caller_input, -1});
    for (Value v : node.inputs) step.operands.push_back(operand(v));
    step.operands.push_back(operand(value));
    program.steps.push_back(std::move(step));
  }
  if (image_output) {
    const TensorType& type = program.output;
    const int kernel = kernel_for(program, {Output{}, {type}, {type.dtype, type.dims, {}}}, selection);
    program.steps.push_back({kernel, {{ProgramOperand::tensor, output}, {ProgramOperand::caller_output, output}}, -1});
  }
  return program;
}

void check_weights_storage(DType weights, const Machine& machine) {
  if (weights != DType::f32 && machine.device != Device::cpu)
    throw Error(
        fmt::format("--weights-storage {}: kernels for a GPU read weights as f32; leave it out, or give a "
                    "--target for the CPU",
                    to_string(weights)));
}

std::map<std::string, int> kernels_by_record(const Program& program) {
  std::map<std::string, int> counts;
  for (const Kernel& kernel : program.kernels) counts[kernel.record.empty() ? "default" : kernel.record]++;
  return counts;
}

PassTarget pass_target(const Machine& machine, DType weights) {
  return {weights, machine.device, machine.lanes};
}

}  // namespace resnetc
