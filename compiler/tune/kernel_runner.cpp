#include "compiler/tune/kernel_runner.h"

#include <HalideRuntime.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "runtime/pool.h"

namespace resnetc {
namespace {

using runtime::Pool;
using runtime::Worker;

// Uniform in [-1, 1), a fixed function of the seed.
std::vector<float> random_values(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return values;
}

struct Extents {
  int64_t row, image;  // floats
};
Extents extents(const TensorType& type) {
  if (!type.is_image()) return {type.channels(), type.channels()};
  const int64_t row = int64_t{type.border.left + type.width() + type.border.right} * type.channels();
  return {row, row * (type.border.top + type.height() + type.border.bottom)};
}

// Floats from the start of an image to its first pixel inside the border.
int64_t origin(const TensorType& type) {
  return type.is_image() ? type.border.top * extents(type).row + int64_t{type.border.left} * type.channels() : 0;
}

// The interior of one image, between dense and bordered form.
template <class Copy>
void for_each_row(const TensorType& type, int batch, Copy&& copy) {
  const int64_t height = type.is_image() ? type.height() : 1,
                width = int64_t{type.is_image() ? type.width() : 1} * type.channels();
  for (int n = 0; n < batch; n++)
    for (int64_t y = 0; y < height; y++)
      copy((n * height + y) * width, n * extents(type).image + origin(type) + y * extents(type).row, width);
}

Tensor dense_tensor(const TensorType& type, int batch, std::vector<float> values) {
  Tensor tensor{type.dims, std::move(values)};
  if (type.is_activation()) tensor.dims[0] = batch;
  return tensor;
}

void describe(const TensorType& type, int batch, bool is_result, float* start, halide_buffer_t& buffer,
              halide_dimension_t* dim) {
  const auto [row, image] = extents(type);
  dim[0] = {0, type.channels(), 1, 0};
  if (type.is_image() && is_result) {
    start += origin(type);
    dim[1] = {0, type.width(), type.channels(), 0};
    dim[2] = {0, type.height(), static_cast<int>(row), 0};
  } else if (type.is_image()) {
    dim[1] = {-type.border.left, static_cast<int>(row) / type.channels(), type.channels(), 0};
    dim[2] = {-type.border.top, static_cast<int>(image / row), static_cast<int>(row), 0};
  }
  buffer.dimensions = type.is_image() ? 4 : 2;
  dim[buffer.dimensions - 1] = {0, batch, static_cast<int>(image), 0};
  buffer.host = reinterpret_cast<uint8_t*>(start);
}

__attribute__((target("clflushopt"))) void flush_lines_weakly_ordered(const char* first, const char* last) {
  for (const char* line = first; line < last; line += 64) _mm_clflushopt(const_cast<char*>(line));
}

void flush_from_caches(const AlignedFloats& values) {
  const char* first = reinterpret_cast<const char*>(values.data());
  const char* last = first + values.size() * sizeof(float);
  if (__builtin_cpu_supports("clflushopt")) {
    flush_lines_weakly_ordered(first, last);
  } else {
    for (const char* line = first; line < last; line += 64) _mm_clflush(line);
  }
}

int do_nothing(void*, int, uint8_t*) {
  return 0;
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

struct KernelThreads::State {
  Pool pool = {};
  std::vector<Worker> workers;
  std::vector<char> scratch;
  void* context = nullptr;
};

KernelThreads::KernelThreads(int threads, uint64_t scratch_bytes) : state_(std::make_unique<State>()) {
  const size_t each = (scratch_bytes + 127) / 64 * 64;
  state_->workers = std::vector<Worker>(static_cast<size_t>(threads));
  state_->scratch.resize(each * static_cast<size_t>(threads) + 64);
  char* start = state_->scratch.data();
  start += -reinterpret_cast<uintptr_t>(start) & 63;
  for (size_t i = 0; i < state_->workers.size(); i++) state_->workers[i].scratch = start + i * each;
  state_->context = state_->workers.data();
  if (runtime::pool_start(&state_->pool, state_->workers.data(), threads, each) < threads)
    throw Error(fmt::format("{} threads cannot be started", threads));
}

KernelThreads::~KernelThreads() {
  runtime::pool_stop(&state_->pool);
}

void* KernelThreads::user_context() const {
  return &state_->context;
}

void KernelThreads::wake() const {
  halide_do_par_for(state_->context, do_nothing, 0, state_->pool.threads, nullptr);
}

KernelData::KernelData(const KernelKey& key, int batch, int threads) : key_(key), batch_(batch) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < key.operands.size(); i++) {
    const TensorType& type = key.operands[i];
    const bool is_activation = type.is_activation();
    const size_t count = static_cast<size_t>(element_count(type)) * (is_activation ? static_cast<size_t>(batch) : 1);
    tensors.push_back(dense_tensor(type, batch, random_values(count, static_cast<uint32_t>(i) + 1)));
    weights_.emplace_back();
    activations_.emplace_back();
    if (!is_activation) {
      weights_.back() = tensors.back().values;
      continue;
    }
    activations_.back().resize(static_cast<size_t>(extents(type).image * batch));
    for_each_row(type, batch, [&](int64_t plain, int64_t bordered, int64_t count_of_row) {
      std::copy_n(tensors.back().values.begin() + plain, count_of_row, activations_.back().begin() + bordered);
    });
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : tensors) pointers.push_back(&tensor);
  expected_ = evaluate_op(key.op, pointers, threads);
  result_.resize(static_cast<size_t>(extents(key.result).image * batch));
}

struct KernelRunner::Call {
  int (*kernel)(void** arguments) = nullptr;
  std::vector<halide_buffer_t> buffers;
  std::vector<halide_dimension_t> dimensions;
  std::vector<void*> arguments;
};

KernelRunner::KernelRunner(KernelData& data, const Choice& choice, const Machine& machine, const std::string& library,
                           const KernelThreads& threads)
    : data_(data), threads_(threads), call_(std::make_unique<Call>()) {
  constexpr size_t most_dimensions = 5;
  const KernelKey& key = data.key_;
  const Strategy& strategy = strategy_named(choice.strategy);
  library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library_) throw Error(fmt::format("{}: {}", library, dlerror()));
  const std::string symbol = to_string(key) + "_argv";
  call_->kernel = reinterpret_cast<int (*)(void**)>(dlsym(library_, symbol.c_str()));
  if (!call_->kernel) throw Error(fmt::format("{}: has no {}", library, symbol));

  const size_t count = key.operands.size() + 1;
  call_->buffers.resize(count);
  call_->dimensions.resize(count * most_dimensions);
  call_->arguments.push_back(threads.user_context());
  packed_.resize(key.operands.size());
  for (size_t i = 0; i < count; i++) {
    halide_buffer_t& buffer = call_->buffers[i];
    halide_dimension_t* dim = &call_->dimensions[i * most_dimensions];
    buffer.type = halide_type_t(halide_type_float, 32, 1);
    buffer.dim = dim;
    if (i == key.operands.size()) {
      describe(key.result, data.batch_, true, data.result_.data(), buffer, dim);
    } else if (key.operands[i].is_activation()) {
      describe(key.operands[i], data.batch_, false, data.activations_[i].data(), buffer, dim);
    } else {
      const PackedWeight packed = strategy.pack(key, choice, machine, i, data.weights_[i]);
      packed_[i].assign(packed.values.begin(), packed.values.end());
      int stride = 1;
      for (size_t d = 0; d < packed.extent.size(); d++) {
        dim[d] = {0, packed.extent[d], stride, 0};
        stride *= packed.extent[d];
      }
      buffer.dimensions = static_cast<int>(packed.extent.size());
      buffer.host = reinterpret_cast<uint8_t*>(packed_[i].data());
    }
    call_->arguments.push_back(&buffer);
  }
}

KernelRunner::~KernelRunner() {
  if (library_) dlclose(library_);
}

int KernelRunner::run() {
  return call_->kernel(call_->arguments.data());
}

std::string KernelRunner::check() {
  const TensorType& type = data_.key_.result;
  std::fill(data_.result_.begin(), data_.result_.end(), 0.0f);
  for_each_row(type, data_.batch_, [&](int64_t, int64_t bordered, int64_t count) {
    std::fill_n(data_.result_.begin() + bordered, count, std::nanf(""));
  });
  if (const int status = run(); status != 0) return fmt::format("status {}", status);
  // Float32 sums in another order, and Winograd's transforms, stay far below; a wrong kernel does not.
  constexpr double bound = 1e-4;
  double largest = 0, difference = 0;
  bool finite = true;
  for_each_row(type, data_.batch_, [&](int64_t plain, int64_t bordered, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
      float& value = data_.result_[static_cast<size_t>(bordered + i)];
      const double expected = data_.expected_.values[static_cast<size_t>(plain + i)];
      largest = std::max(largest, std::abs(expected));
      difference = std::max(difference, std::abs(value - expected));
      finite = finite && std::isfinite(value);
      value = 0;
    }
  });
  if (!finite) return "wrong result: not all values are written or finite";
  if (difference > bound * largest)
    return fmt::format("wrong result: off by {:.2e} of the largest value", difference / largest);
  for (float value : data_.result_)
    if (value != 0) return "wrong result: it writes to the border";
  return "";
}

double KernelRunner::time(bool cold) {
  if (cold) {
    for (const AlignedFloats& values : packed_) flush_from_caches(values);
    _mm_mfence();
  }
  threads_.wake();
  const double start = now();
  run();
  return now() - start;
}

}  // namespace resnetc
