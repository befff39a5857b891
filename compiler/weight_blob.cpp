#include "compiler/weight_blob.h"

#include <fmt/format.h>

#include <fstream>

#include "compiler/files.h"

namespace resnetc {
namespace {

class AlignedWriter {
 public:
  explicit AlignedWriter(const std::filesystem::path& file) : path_(file), out_(file, std::ios::binary) {}

  // Returns the offset at which the values lie.
  uint64_t append(const std::vector<float>& values) {
    static constexpr char zeros[64] = {};
    out_.write(zeros, static_cast<std::streamsize>((64 - bytes_ % 64) % 64));
    const uint64_t offset = (bytes_ + 63) / 64 * 64;
    out_.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
    bytes_ = offset + values.size() * sizeof(float);
    if (!out_) throw Error(fmt::format("{}: cannot write; is the disk full?", path_.string()));
    return offset;
  }

  uint64_t finish() {
    append({});
    const uint64_t bytes = (bytes_ + 63) / 64 * 64;
    out_.close();
    if (!out_) throw Error(fmt::format("{}: cannot write; is the disk full?", path_.string()));
    return bytes;
  }

 private:
  std::filesystem::path path_;
  std::ofstream out_;
  uint64_t bytes_ = 0;
};

}  // namespace

WeightBlob write_weight_blob(const Program& program, const Machine& machine,
                             const std::vector<float>& self_test_outputs, const std::filesystem::path& file) {
  WeightBlob blob;
  AlignedWriter writer(file);
  for (size_t s = 0; s < program.steps.size(); s++) {
    const Step& step = program.steps[s];
    const Kernel& kernel = program.kernels[static_cast<size_t>(step.kernel)];
    const Strategy& strategy = strategy_named(kernel.choice.strategy);
    for (size_t i = 0; i < step.operands.size(); i++) {
      if (step.operands[i].kind != ProgramOperand::weight) continue;
      const auto& weight = std::get<Weight>(program.graph[step.operands[i].value].op);
      const PackedWeight packed = strategy.pack(kernel.key, kernel.choice, machine, i, *weight.values);
      blob.entries.push_back({static_cast<int>(s), i, packed.extent, writer.append(packed.values)});
    }
  }
  blob.self_test_offset = writer.append(self_test_outputs);
  blob.bytes = writer.finish();
  return blob;
}

void digest_weights(Graph& graph) {
  for (Node& node : graph.nodes)
    if (auto* weight = std::get_if<Weight>(&node.op); weight && weight->values)
      weight->sha256 =
          sha256({reinterpret_cast<const char*>(weight->values->data()), weight->values->size() * sizeof(float)});
}

}  // namespace resnetc
