#include "compiler/weight_blob.h"

#include <deque>
#include <future>

#include "compiler/files.h"
#include "compiler/process.h"
#include "compiler/weight_object.h"

namespace resnetc {

WeightBlob write_weight_blob(const Program& program, const Machine& machine,
                             std::future<std::vector<float>> self_test_outputs, int jobs,
                             const std::filesystem::path& file, const std::string& symbol) {
  WeightBlob blob;
  WeightObject object(file, symbol);
  struct Packing {
    WeightBlob::Entry entry;
    std::future<PackedWeight> weight;
  };
  // At most so many packed weights are held beside the one that is being written.
  std::deque<Packing> packing;
  const auto write_first = [&] {
    check_interrupted();
    Packing& first = packing.front();
    const PackedWeight packed = first.weight.get();
    first.entry.extent = packed.extent;
    first.entry.offset = object.append(packed.values);
    blob.entries.push_back(first.entry);
    packing.pop_front();
  };
  for (size_t s = 0; s < program.steps.size(); s++) {
    const Step& step = program.steps[s];
    const Kernel& kernel = program.kernels[static_cast<size_t>(step.kernel)];
    const Strategy& strategy = strategy_named(kernel.choice.strategy);
    for (size_t i = 0; i < step.operands.size(); i++) {
      if (step.operands[i].kind != ProgramOperand::weight) continue;
      const auto& weight = std::get<Weight>(program.graph[step.operands[i].value].op);
      packing.push_back({{static_cast<int>(s), i, {}, 0}, std::async(std::launch::async, [&, i] {
                           return strategy.pack(kernel.key, kernel.choice, machine, i, *weight.values);
                         })});
      if (packing.size() > static_cast<size_t>(jobs)) write_first();
    }
  }
  while (!packing.empty()) write_first();
  blob.self_test_offset = object.append(self_test_outputs.get());
  object.finish();
  return blob;
}

void digest_weights(Graph& graph) {
  for (Node& node : graph.nodes)
    if (auto* weight = std::get_if<Weight>(&node.op); weight && weight->values)
      weight->sha256 =
          sha256({reinterpret_cast<const char*>(weight->values->data()), weight->values->size() * sizeof(float)});
}

}  // namespace resnetc
