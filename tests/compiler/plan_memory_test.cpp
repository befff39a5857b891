// The memory plan, carried out as the runtime does, but with the reference evaluator in place of kernels: whatever the
// net, every value is still there when it is read, and every border that a convolution reads is zero.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/program.h"
#include "ir/reference.h"
#include "ir/rewrite.h"
#include "tests/compiler/front_end.h"
#include "tests/support/fill_weights.h"
#include "tests/support/random_graph.h"

using namespace resnetc;

namespace {

using Slot = MemoryPlan::Slot;

Program program_of(const Graph& graph) {
  return select_kernels(run_passes(graph), machine_for("x86-64-linux-avx2", 2));
}

Tensor images_of(const Tensor& tensor, int first, int count) {
  Tensor result{tensor.dims, {}};
  const auto floats = static_cast<std::ptrdiff_t>(tensor.values.size()) / tensor.dims[0];
  result.dims[0] = count;
  result.values.assign(tensor.values.begin() + first * floats, tensor.values.begin() + (first + count) * floats);
  return result;
}

// An arena as rn_create makes it: zeros, with room for as many images as go through each part together.
class Arena {
 public:
  Arena(const Program& program, const MemoryPlan& plan, ImagesAtOnce at_once)
      : program_(program), plan_(plan), at_once_(at_once) {
    const uint64_t bytes = plan.tail_offset * static_cast<uint64_t>(at_once.head) +
                           (plan.arena_bytes - plan.tail_offset) * static_cast<uint64_t>(at_once.tail);
    floats_.assign(bytes / sizeof(float), 0.0f);
  }

  // For as many images as the input has, at most as many as go through the tail together.
  Tensor run(const Tensor& input) {
    const int images = input.dims[0], tail_step = plan_.tail_step, steps = static_cast<int>(program_.steps.size());
    Tensor output;
    for (int i = 0; i < images; i += at_once_.head) {
      const int count = std::min(at_once_.head, images - i);
      const Tensor part = run_steps(0, tail_step, images_of(input, i, count), i);
      if (!part.dims.empty() && output.dims.empty()) output.dims = part.dims;
      output.values.insert(output.values.end(), part.values.begin(), part.values.end());
    }
    if (tail_step < steps) return run_steps(tail_step, steps, input, 0);
    output.dims[0] = images;
    return output;
  }

 private:
  const Program& program_;
  const MemoryPlan& plan_;
  ImagesAtOnce at_once_;
  std::vector<float> floats_;

  // What the caller gets, if it is one of these steps that writes it. first: the image of the tail's that input begins
  // with.
  Tensor run_steps(int begin, int end, const Tensor& input, int first) {
    for (int s = begin; s < end; s++) {
      const Step& step = program_.steps[static_cast<size_t>(s)];
      std::vector<Tensor> operands;
      for (size_t i = 0; i + 1 < step.operands.size(); i++) operands.push_back(load(step, i, input, first));
      std::vector<const Tensor*> pointers;
      for (const Tensor& operand : operands) pointers.push_back(&operand);
      const Op& op = program_.kernels[static_cast<size_t>(step.kernel)].key.op;
      const bool copies = std::holds_alternative<Input>(op) || std::holds_alternative<Output>(op);
      Tensor result = copies ? operands[0] : evaluate_op(op, pointers);
      if (step.operands.back().kind == ProgramOperand::caller_output) return result;
      store(slot_of(step.operands.back().value), result, first);
    }
    return {};
  }

  const Slot& slot_of(Value value) const {
    return *std::find_if(plan_.slots.begin(), plan_.slots.end(), [&](const Slot& s) { return s.value == value; });
  }

  Tensor load(const Step& step, size_t i, const Tensor& input, int first) {
    const ProgramOperand& operand = step.operands[i];
    if (operand.kind == ProgramOperand::caller_input) return input;
    const Node& node = program_.graph[operand.value];
    if (operand.kind == ProgramOperand::weight) return {node.type.dims, *std::get<Weight>(node.op).values};
    Tensor result{node.type.dims, {}};
    result.dims[0] = input.dims[0];
    size_t nonzero = 0;
    visit(slot_of(operand.value), first, input.dims[0], [&](float& value, bool inside) {
      if (inside) result.values.push_back(value);
      if (!inside) nonzero += value != 0;
    });
    const bool reads_border = std::holds_alternative<Conv2d>(program_.graph[step.value].op) && i == 0;
    if (reads_border) CHECK(nonzero == 0);
    return result;
  }

  void store(const Slot& slot, const Tensor& tensor, int first) {
    size_t next = 0;
    visit(slot, first, tensor.dims[0], [&](float& value, bool inside) {
      if (inside) value = tensor.values[next++];
      if (!inside && slot.border_shared) value = 0;
    });
    CHECK(next == tensor.values.size());
  }

  // Every float of the slot's images in order; whether it lies inside the border.
  template <class Visit>
  void visit(const Slot& slot, int first, int batch, const Visit& visit) {
    TensorType type = program_.graph[slot.value].type;
    if (!type.is_image()) type.dims = {batch_dimension, 1, 1, type.channels()};
    const Sides& b = type.border;
    const auto floats = static_cast<uint64_t>(stored_element_count(type));
    const bool in_tail = slot.offset >= plan_.tail_offset;
    REQUIRE(slot.offset + floats * sizeof(float) <= (in_tail ? plan_.arena_bytes : plan_.tail_offset));
    const uint64_t bytes = in_tail ? plan_.tail_offset * static_cast<uint64_t>(at_once_.head) +
                                         (slot.offset - plan_.tail_offset) * static_cast<uint64_t>(at_once_.tail)
                                   : slot.offset * static_cast<uint64_t>(at_once_.head);
    float* next = floats_.data() + bytes / sizeof(float) + floats * static_cast<uint64_t>(in_tail ? first : 0);
    for (int n = 0; n < batch; n++)
      for (int y = -b.top; y < type.height() + b.bottom; y++)
        for (int x = -b.left; x < type.width() + b.right; x++)
          for (int c = 0; c < type.channels(); c++)
            visit(*next++, y >= 0 && y < type.height() && x >= 0 && x < type.width());
  }
};

}  // namespace

TEST_CASE("memory plan: random nets compute the same in one arena, for every batch, again and again") {
  int shared = 0, kept = 0, tail_from_head = 0;
  for (unsigned seed = 0; seed < 300; seed++) {
    CAPTURE(seed);
    Graph graph = random_graph(seed);
    graph.outputs.resize(1);
    const Program program = program_of(without_dead_nodes(graph));
    const MemoryPlan plan = plan_memory(program);
    Arena arena(program, plan, {3, 3});
    for (int batch : {3, 1, 2, 3}) {
      const Tensor input = integer_input(program.graph, batch, seed + static_cast<unsigned>(batch));
      CHECK(arena.run(input) == evaluate(program.graph, input).front());
    }
    for (const Slot& slot : plan.slots) {
      CHECK(slot.offset % 64 == 0);
      if (program.graph[slot.value].type.border != Sides{}) (slot.border_shared ? shared : kept)++;
    }
    CHECK(plan.arena_bytes >= plan.largest_live_bytes);

    const auto tail_step = static_cast<int>(seed % program.steps.size());
    const MemoryPlan with_tail = plan_memory(program, Device::cpu, tail_step);
    Arena two_parts(program, with_tail, {2, 5});
    for (int batch : {5, 1, 2, 3, 5}) {
      const Tensor input = integer_input(program.graph, batch, seed + static_cast<unsigned>(batch));
      CHECK(two_parts.run(input) == evaluate(program.graph, input).front());
    }
    for (const Slot& slot : with_tail.slots)
      tail_from_head += slot.first_step < tail_step && slot.offset >= with_tail.tail_offset;

    const MemoryPlan on_device = plan_memory(program, Device::opencl);
    Arena device_arena(program, on_device, {3, 3});
    for (int batch : {3, 1}) {
      const Tensor input = integer_input(program.graph, batch, seed);
      CHECK(device_arena.run(input) == evaluate(program.graph, input).front());
    }
    for (const Slot& slot : on_device.slots) {
      CHECK(slot.offset % 512 == 0);
      CHECK(!slot.border_shared);
    }
  }
  // Else the test would show nothing.
  CHECK(shared >= 100);
  CHECK(kept >= 10);
  CHECK(tail_from_head >= 100);
}

// layer1.0 of ResNet-50 at 64x64: the block's input, 16 x 16 x 64, is read again by its last convolution, and no tensor
// of 256 channels lives before the block's result.
TEST_CASE("memory plan: a projected input lives until the block's last convolution") {
  ModelOptions options;
  options.size = Hw{64, 64};
  const Model model = read_model(test::models_folder() / "resnet50.json", options);
  const Program program = program_of(model.graph);
  const MemoryPlan plan = plan_memory(program);
  size_t projections = 0;
  for (size_t i = 0; i < program.steps.size(); i++) {
    const Node& node = program.graph[program.steps[i].value];
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (!conv || !projection_of(*conv)) continue;
    projections++;
    const Value x = node.inputs[3];
    size_t alive = 0;
    for (const Slot& slot : plan.slots) {
      if (slot.value == x) CHECK(slot.last_step == static_cast<int>(i));
      alive += slot.first_step <= static_cast<int>(i) && slot.last_step >= static_cast<int>(i);
    }
    CHECK(alive == 3);  // both inputs and the result
  }
  CHECK(projections == 4);
  CHECK(plan.arena_bytes == plan.largest_live_bytes);
}

TEST_CASE("memory plan: the arena of each net of models/ is its largest sum of live tensors") {
  for (const auto& entry : std::filesystem::directory_iterator(test::models_folder())) {
    if (entry.path().extension() != ".json") continue;
    CAPTURE(entry.path());
    const Program program = program_of(read_model(entry.path(), {}).graph);
    for (const MemoryPlan& plan : {plan_memory(program), plan_memory(program, machine_for("x86-64-linux-avx2", 2))})
      CHECK(plan.arena_bytes == plan.largest_live_bytes);
  }
}

TEST_CASE("memory plan: layers with far more weights than activations are the tail") {
  const Machine machine = machine_for("x86-64-linux-avx2", 2);
  const auto first_of_tail = [&](const char* model) {
    const Program program = program_of(read_model(test::models_folder() / model, {}).graph);
    const MemoryPlan plan = plan_memory(program, machine);
    const ImagesAtOnce at_once = images_at_once(plan, machine);
    CHECK(plan.has_tail() == (at_once.tail > at_once.head));
    return plan.has_tail() ? program.graph[program.steps[static_cast<size_t>(plan.tail_step)].value].name : "";
  };
  CHECK(first_of_tail("resnet18.json") == "layer4.0.relu1");
  CHECK(first_of_tail("resnet152.json") == "layer4.0.relu2");
  CHECK(first_of_tail("digits_resnet8.json").empty());
}

TEST_CASE("memory plan: on a device all images go through the net together") {
  const Machine machine = machine_for("x86-64-linux-avx2-opencl", 1);
  const Graph graph = read_model(test::models_folder() / "resnet18.json", {}).graph;
  const Program program = select_kernels(run_passes(graph, "", pass_target(machine)), machine);
  const MemoryPlan plan = plan_memory(program, machine);
  CHECK(!plan.has_tail());
  CHECK(images_at_once(plan, machine).head > 1000);
}
