#include "tests/support/kernel_runner.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "schedules/winograd_transforms.h"

namespace resnetc {
namespace {

constexpr float canary = 12345.0f;

// An image with its border, as (c, x, y, n) with minimum 0 at the first pixel inside.
struct Bordered {
  std::vector<float> values;
  Halide::Runtime::Buffer<float> buffer;

  Bordered(const TensorType& type, int batch, float border_value) : border(type.border) {
    const int columns = type.border.left + type.width() + type.border.right;
    const int rows = type.border.top + type.height() + type.border.bottom;
    const int c = type.channels();
    // Guards on both ends catch writes outside.
    values.assign(static_cast<size_t>(batch) * static_cast<size_t>(rows * columns * c) + 2 * guard, border_value);
    float* origin = values.data() + guard + (type.border.top * columns + type.border.left) * c;
    halide_dimension_t shape[] = {
        {0, c, 1}, {0, type.width(), c}, {0, type.height(), columns * c}, {0, batch, rows * columns * c}};
    buffer = Halide::Runtime::Buffer<float>(origin, 4, shape);
  }
  // The border included.
  Halide::Runtime::Buffer<float> whole() const {
    Halide::Runtime::Buffer<float> all = buffer;
    halide_buffer_t& raw = *all.raw_buffer();
    raw.host -= static_cast<size_t>(border.top * raw.dim[2].stride + border.left * raw.dim[1].stride) * sizeof(float);
    raw.dim[1].min = -border.left, raw.dim[1].extent += border.left + border.right;
    raw.dim[2].min = -border.top, raw.dim[2].extent += border.top + border.bottom;
    return all;
  }

  Sides border;
  static constexpr size_t guard = 64;

  // How many floats are not border_value.
  size_t count_other(float border_value) const {
    size_t count = 0;
    for (float v : values) count += v != border_value;
    return count;
  }
};

Halide::Runtime::Buffer<float> dense_buffer(float* values, const std::vector<int>& extent) {
  std::vector<halide_dimension_t> shape;
  int stride = 1;
  for (int e : extent) {
    shape.push_back({0, e, stride});
    stride *= e;
  }
  return Halide::Runtime::Buffer<float>(values, static_cast<int>(shape.size()), shape.data());
}

template <size_t... I>
int call_with(const Halide::Callable& callable, Halide::JITUserContext& context,
              std::vector<Halide::Runtime::Buffer<float>>& b, std::index_sequence<I...>) {
  return callable(&context, b[I]...);
}

int call(const Halide::Callable& callable, Halide::JITUserContext& context,
         std::vector<Halide::Runtime::Buffer<float>>& b) {
  switch (b.size()) {
    case 2:
      return call_with(callable, context, b, std::make_index_sequence<2>());
    case 3:
      return call_with(callable, context, b, std::make_index_sequence<3>());
    case 4:
      return call_with(callable, context, b, std::make_index_sequence<4>());
    case 5:
      return call_with(callable, context, b, std::make_index_sequence<5>());
    case 6:
      return call_with(callable, context, b, std::make_index_sequence<6>());
    default:
      throw std::logic_error("unexpected number of operands");
  }
}

std::vector<int> reversed(std::vector<int> dims) {
  return {dims.rbegin(), dims.rend()};
}

// A kernel's operands in memory: images with their borders, weights packed.
struct OperandBuffers {
  std::vector<Bordered> images;
  std::vector<std::vector<float>> plain;
  std::vector<Halide::Runtime::Buffer<float>> buffers;

  OperandBuffers(const KernelKey& key, const Choice& choice, const Machine& machine,
                 const std::vector<Tensor>& operands) {
    images.reserve(operands.size()), plain.reserve(operands.size());
    for (size_t i = 0; i < operands.size(); i++) {
      if (!std::holds_alternative<Input>(key.op) && key.operands[i].is_image()) {
        add_image(key.operands[i], operands[i]);
      } else if (std::holds_alternative<Input>(key.op) || key.operands[i].is_activation()) {
        plain.push_back(operands[i].values);
        buffers.push_back(dense_buffer(plain.back().data(), reversed(operands[i].dims)));
      } else {
        add_weight(strategy_named(choice.strategy).pack(key, choice, machine, i, operands[i].values));
      }
    }
  }

  void add_image(const TensorType& type, const Tensor& t) {
    images.emplace_back(type, t.dims[0], 0.0f);
    size_t next = 0;
    for (int n = 0; n < t.dims[0]; n++)
      for (int y = 0; y < t.dims[1]; y++)
        for (int x = 0; x < t.dims[2]; x++)
          for (int c = 0; c < t.dims[3]; c++) images.back().buffer(c, x, y, n) = t.values[next++];
    buffers.push_back(images.back().whole());
  }

  // Halide is told that weights are 64-byte aligned.
  void add_weight(const PackedWeight& packed) {
    plain.emplace_back(packed.values.size() + 16);
    float* aligned = plain.back().data();
    while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) aligned++;
    std::copy(packed.values.begin(), packed.values.end(), aligned);
    buffers.push_back(dense_buffer(aligned, packed.extent));
  }
};

}  // namespace

Halide::Callable compile_to_run(const KernelKey& key, const Choice& choice, const Machine& machine) {
  KernelPipeline kernel = strategy_named(choice.strategy).build(key, choice, machine);
  return kernel.pipeline.compile_to_callable(kernel.arguments, machine.target.with_feature(Halide::Target::JIT)
                                                                   .with_feature(Halide::Target::NoAsserts)
                                                                   .with_feature(Halide::Target::NoBoundsQuery));
}

Tensor run_compiled(const Halide::Callable& callable, const KernelKey& key, const Choice& choice,
                    const Machine& machine, const std::vector<Tensor>& operands, Halide::JITUserContext& context) {
  const int batch = operands[0].dims[0];
  OperandBuffers memory(key, choice, machine, operands);
  std::vector<Halide::Runtime::Buffer<float>>& buffers = memory.buffers;
  const bool on_device = machine.device != Device::cpu;
  for (auto& buffer : buffers)
    if (on_device) buffer.set_host_dirty();
  // A device's results come back, and what a kernel leaves as it is must have gone up before.
  const auto run = [&](Halide::Runtime::Buffer<float> out) {
    if (on_device) out.set_host_dirty();
    buffers.push_back(out);
    if (call(callable, context, buffers) != 0) throw std::runtime_error("the kernel failed");
    if (on_device && buffers.back().copy_to_host() != 0) throw std::runtime_error("the result could not be fetched");
  };
  std::vector<int> dims = key.result.dims;
  dims[0] = batch;
  Tensor result{dims, {}};
  if (std::holds_alternative<Output>(key.op)) result.dims = {batch, dims[3], dims[1], dims[2]};
  size_t count = 1;
  for (int d : result.dims) count *= static_cast<size_t>(d);
  if (!key.result.is_image() || std::holds_alternative<Output>(key.op)) {
    result.values.assign(count, canary);
    run(dense_buffer(result.values.data(), reversed(result.dims)));
    return result;
  }
  Bordered out(key.result, batch, canary);
  run(on_device ? out.whole() : out.buffer);
  for (int n = 0; n < batch; n++)
    for (int y = 0; y < dims[1]; y++)
      for (int x = 0; x < dims[2]; x++)
        for (int c = 0; c < dims[3]; c++) result.values.push_back(out.buffer(c, x, y, n));
  if (out.count_other(canary) > count) throw std::runtime_error("the kernel wrote outside its result");
  return result;
}

Tensor run_kernel(const KernelKey& key, const Choice& choice, const Machine& machine,
                  const std::vector<Tensor>& operands) {
  Halide::JITUserContext context;
  return run_compiled(compile_to_run(key, choice, machine), key, choice, machine, operands, context);
}

Tensor reference_result(const KernelKey& key, const std::vector<Tensor>& operands) {
  if (std::holds_alternative<Input>(key.op)) {
    const Tensor& t = operands[0];
    const int n = t.dims[0], c = t.dims[1], h = t.dims[2], w = t.dims[3];
    Tensor result{{n, h, w, c}, std::vector<float>(t.values.size())};
    for (size_t i = 0; i < t.values.size(); i++) {
      const auto flat = static_cast<int>(i);
      const int x = flat % w, y = flat / w % h, channel = flat / (w * h) % c, image = flat / (w * h * c);
      result.values[static_cast<size_t>(((image * h + y) * w + x) * c + channel)] = t.values[i];
    }
    return result;
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : operands) pointers.push_back(&t);
  return evaluate_op(key.op, pointers, 2);
}

float largest_absolute_sum(KernelKey key, std::vector<Tensor> operands) {
  std::get<Conv2d>(key.op).epilogue.clear();
  key.operands.resize(2);
  operands.resize(2);
  for (Tensor& operand : operands)
    for (float& v : operand.values) v = std::abs(v);
  float largest = 0;
  for (float v : reference_result(key, operands).values) largest = std::max(largest, v);
  return largest;
}

float largest_difference(const Tensor& a, const Tensor& b) {
  float largest = 0;
  for (size_t i = 0; i < a.values.size(); i++) largest = std::max(largest, std::abs(a.values[i] - b.values[i]));
  return largest;
}

bool equals_reference(const KernelKey& key, const Choice& choice, const std::vector<Tensor>& operands,
                      const Tensor& got) {
  const Tensor expected = reference_result(key, operands);
  const bool is_winograd = choice.strategy.find("winograd") != std::string::npos;
  if (!is_winograd || choice["tile"] == 2) return got == expected;
  return got.dims == expected.dims && largest_difference(got, expected) <=
                                          winograd_error_bound(choice["tile"]) * largest_absolute_sum(key, operands);
}

Tensor integer_tensor(std::vector<int> dims, unsigned seed, int least, int most) {
  size_t count = 1;
  for (int d : dims) count *= static_cast<size_t>(d);
  std::mt19937 random(seed);
  Tensor result{std::move(dims), std::vector<float>(count)};
  const auto range = static_cast<unsigned>(most - least + 1);
  for (float& v : result.values) v = static_cast<float>(static_cast<int>(random() % range) + least);
  return result;
}

std::vector<Tensor> integer_operands(const KernelKey& key, int batch, unsigned seed) {
  if (std::holds_alternative<Input>(key.op))
    return {integer_tensor({batch, key.result.channels(), key.result.height(), key.result.width()}, seed)};
  std::vector<Tensor> operands;
  for (const TensorType& type : key.operands) {
    std::vector<int> dims = type.dims;
    if (type.is_activation()) dims[0] = batch;
    operands.push_back(integer_tensor(dims, seed + static_cast<unsigned>(operands.size())));
  }
  return operands;
}

std::vector<Tensor> normal_operands(const KernelKey& key, int batch, unsigned seed) {
  std::vector<Tensor> operands = integer_operands(key, batch, seed);
  std::mt19937 random(seed);
  for (Tensor& operand : operands)
    for (float& v : operand.values) v = std::normal_distribution<float>()(random);
  return operands;
}

}  // namespace resnetc
