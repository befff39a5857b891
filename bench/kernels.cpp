// Time of each kernel of a model, alone on the machine: the default choice, or every candidate, with weights hot in the
// cache or cold (rotated through more memory than the last-level cache holds), against the peak that a loop of
// fused multiply-adds reaches on this machine.
//
//   bench_kernels MODEL.json [--threads N] [--candidates | --choice TEXT] [--cold] [--bf16] [--filter TEXT]
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "compiler/clock.h"
#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/program.h"
#include "runtime/program/machine_peak.h"

namespace {

using namespace resnetc;
using Buffer = Halide::Runtime::Buffer<float>;

Buffer make_buffer(const std::vector<int>& extent) {
  Buffer buffer(extent);
  unsigned state = 1;
  buffer.for_each_value(
      [&](float& v) { v = static_cast<float>(static_cast<int>((state = state * 1664525u + 1013904223u) >> 29) - 3); });
  return buffer;
}

// With room for the border; minimum 0 is the first pixel inside.
Buffer make_activation(const TensorType& type) {
  if (!type.is_image()) return make_buffer({type.channels(), 1});
  Buffer buffer = make_buffer({type.channels(), type.border.left + type.width() + type.border.right,
                               type.border.top + type.height() + type.border.bottom, 1});
  buffer.translate({0, -type.border.left, -type.border.top, 0});
  return buffer;
}

template <size_t... I>
void call_with(const Halide::Callable& callable, std::vector<Buffer>& b, std::index_sequence<I...>) {
  callable(b[I]...);
}

void call(const Halide::Callable& callable, std::vector<Buffer>& b) {
  if (b.size() == 2) call_with(callable, b, std::make_index_sequence<2>());
  if (b.size() == 3) call_with(callable, b, std::make_index_sequence<3>());
  if (b.size() == 4) call_with(callable, b, std::make_index_sequence<4>());
  if (b.size() == 5) call_with(callable, b, std::make_index_sequence<5>());
}

struct Times {
  double median, least;
};

// Seconds of one call.
Times time_kernel(const KernelKey& key, const Choice& choice, const Machine& machine, bool cold) {
  const Strategy& strategy = strategy_named(choice.strategy);
  KernelPipeline kernel = strategy.build(key, choice, machine);
  const Halide::Target target = machine.target.with_feature(Halide::Target::JIT)
                                    .with_feature(Halide::Target::NoAsserts)
                                    .with_feature(Halide::Target::NoBoundsQuery);
  const Halide::Callable callable = kernel.pipeline.compile_to_callable(kernel.arguments, target);
  // Each set of operands differs in its weights only.
  std::vector<std::vector<Buffer>> sets(1);
  size_t weight_bytes = 0;
  for (size_t i = 0; i < key.operands.size(); i++) {
    if (key.operands[i].is_activation()) {
      sets[0].push_back(make_activation(key.operands[i]));
    } else {
      const PackedWeight packed = strategy.pack(
          key, choice, machine, i, std::vector<float>(static_cast<size_t>(element_count(key.operands[i])), 1.0f));
      sets[0].push_back(make_buffer(packed.extent));
      weight_bytes += packed.values.size() * sizeof(float);
    }
  }
  Buffer result = make_activation(key.result);
  if (key.result.is_image()) {
    result.crop(1, 0, key.result.width());
    result.crop(2, 0, key.result.height());
  }
  sets[0].push_back(result);
  if (cold && weight_bytes > 0) {
    const size_t copies = std::clamp<size_t>((size_t{96} << 20) / weight_bytes, 2, 2000);
    for (size_t c = 1; c < copies; c++) {
      sets.push_back(sets[0]);
      for (size_t i = 0; i < key.operands.size(); i++)
        if (!key.operands[i].is_activation()) sets.back()[i] = sets[0][i].copy();
    }
  }
  size_t next = 0;
  for (int i = 0; i < 3; i++) call(callable, sets[next++ % sets.size()]);
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  while (times.size() < 10 || (seconds_since(start) < 0.15 && times.size() < 1000)) {
    const Clock::time_point one = Clock::now();
    call(callable, sets[next++ % sets.size()]);
    times.push_back(seconds_since(one));
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front()};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr,
               "bench_kernels MODEL.json [--threads N] [--candidates | --choice TEXT] [--cold] [--filter TEXT]\n");
    return 2;
  }
  int threads = 1;
  bool all = false, cold = false;
  DType storage = DType::f32;
  std::string filter;
  std::vector<Choice> given;
  for (int i = 2; i < argc; i++) {
    if (!std::strcmp(argv[i], "--threads") && i + 1 < argc) threads = std::atoi(argv[++i]);
    if (!std::strcmp(argv[i], "--filter") && i + 1 < argc) filter = argv[++i];
    if (!std::strcmp(argv[i], "--choice") && i + 1 < argc) given.push_back(parse_choice(argv[++i]));
    if (!std::strcmp(argv[i], "--candidates")) all = true;
    if (!std::strcmp(argv[i], "--cold")) cold = true;
    if (!std::strcmp(argv[i], "--bf16")) storage = DType::bf16;
  }
  setenv("HL_NUM_THREADS", std::to_string(threads).c_str(), 1);  // read when the JIT's runtime starts
  const Machine machine = machine_for("host", threads);
  const Graph graph = run_passes(load_model(argv[1], "random:1", {}).graph, "", storage);
  const Program program = select_kernels(graph, machine);
  const double peak = program::measure_machine(threads).flops * 1e-9;
  fmt::print("{}, {} threads, peak {:.0f} GFLOP/s, weights {}\n", machine.target.to_string(), threads, peak,
             cold ? "cold" : "hot");
  double sum = 0, flop_sum = 0;
  for (size_t k = 0; k < program.kernels.size(); k++) {
    const Kernel& kernel = program.kernels[k];
    const std::string text = to_string(kernel.key);
    if (std::holds_alternative<Input>(kernel.key.op) || text.find(filter) == std::string::npos) continue;
    const auto calls = std::count_if(program.steps.begin(), program.steps.end(),
                                     [&](const Step& s) { return s.kernel == static_cast<int>(k); });
    const double flop = static_cast<double>(flop_count(kernel.key));
    fmt::print("{} ({} calls)\n", text, calls);
    const std::vector<Choice> choices = !given.empty() ? given
                                        : all          ? candidates(kernel.key, machine)
                                                       : std::vector<Choice>{kernel.choice};
    for (size_t c = 0; c < choices.size(); c++) {
      const Times times = time_kernel(kernel.key, choices[c], machine, cold);
      const double s = times.median;
      if (c == 0) sum += s * static_cast<double>(calls), flop_sum += flop * static_cast<double>(calls);
      fmt::print("  {:8.4f} ms (least {:8.4f}: {:3.0f} %) {:6.1f} GFLOP/s {:3.0f} %  {}\n", s * 1e3, times.least * 1e3,
                 flop / times.least * 1e-7 / peak, flop / s * 1e-9, flop / s * 1e-7 / peak, to_string(choices[c]));
    }
  }
  fmt::print("sum over all calls: {:.3f} ms, {:.1f} GFLOP/s, {:.0f} % of peak\n", sum * 1e3, flop_sum / sum * 1e-9,
             flop_sum / sum * 1e-7 / peak);
}
