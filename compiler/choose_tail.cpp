// From where on more images go through a net together, so that direct convolutions read each weight once for all of
// them. What Winograd ones read again for each image is counted as if they did not: the figures below hold with that.
#include <algorithm>

#include "compiler/program.h"

namespace resnetc {
namespace {

// Of eight images' reading of the weights an eighth is left; twice as many would save another sixteenth and take twice
// the arena.
constexpr int tail_images = 8;

// What a byte of activations costs against one of weights, which are prefetched in order, where the images together
// leave the second-level cache. As two cores of a Granite Rapids take eight images, the whole net against image by
// image:
//   from the 7x7 layers on (9 to 13 bytes of weights read for one of activations), ResNet-18 0.984, ResNet-34 0.974,
//   ResNet-50 0.941, ResNet-152 0.959, ResNeXt-50 0.978, Wide ResNet-50 0.947;
//   from the 14x14 layers on (1.4 to 5 bytes), where also these have gone through together: 1.009, 1.025, 0.953, 1.001,
//   -, 0.943.
constexpr double activation_cost = 6;

double gain(const Program& program, const Step& step) {
  double weights = 0, activations = 0;
  for (const ProgramOperand& operand : step.operands) {
    if (operand.value < 0) continue;
    const TensorType& type = program.graph[operand.value].type;
    (operand.kind == ProgramOperand::weight ? weights : activations) +=
        static_cast<double>(element_bytes(type.dtype)) * static_cast<double>(element_count(type));
  }
  return weights * (1 - 1.0 / tail_images) - activation_cost * activations;
}

// The number of steps where no tail gains anything.
int most_gainful_tail(const Program& program) {
  auto best = static_cast<int>(program.steps.size());
  double sum = 0, most = 0;
  for (size_t s = program.steps.size(); s-- > 0;) {
    sum += gain(program, program.steps[s]);
    if (sum <= most) continue;
    most = sum;
    best = static_cast<int>(s);
  }
  return best;
}

}  // namespace

ImagesAtOnce images_at_once(const MemoryPlan& plan, const Machine& machine) {
  if (machine.device != Device::cpu) return {65535, 65535};  // the most blocks that CUDA starts along the images
  const uint64_t cache = static_cast<uint64_t>(machine.level2_bytes) * static_cast<uint64_t>(machine.threads);
  const int head = static_cast<int>(std::clamp<uint64_t>(cache / std::max<uint64_t>(plan.tail_offset, 1), 1, 1 << 16));
  return plan.has_tail() ? ImagesAtOnce{std::min(head, tail_images), tail_images} : ImagesAtOnce{head, head};
}

MemoryPlan plan_memory(const Program& program, const Machine& machine) {
  MemoryPlan plan = plan_memory(program, machine.device);
  if (machine.device != Device::cpu || images_at_once(plan, machine).head >= tail_images) return plan;
  const int tail_step = most_gainful_tail(program);
  return tail_step < plan.tail_step ? plan_memory(program, machine.device, tail_step) : plan;
}

}  // namespace resnetc
