#include "compiler/tune/kernel_runner.h"

#include <HalideRuntime.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <sched.h>
#include <time.h>

#include <atomic>

#include "runtime/pool.h"
#include "schedules/compile_kernel.h"

namespace resnetc {
namespace {

using runtime::Pool;
using runtime::Worker;

constexpr size_t line_bytes = 64;

// Both return the bytes of the lines that they threw out.
__attribute__((target("clflushopt"))) size_t flush_lines_weakly_ordered(const char* first, size_t bytes) {
  size_t done = 0;
  for (; done < bytes; done += line_bytes) _mm_clflushopt(const_cast<char*>(first + done));
  return done;
}
size_t flush_lines(const char* first, size_t bytes) {
  size_t done = 0;
  for (; done < bytes; done += line_bytes) _mm_clflush(first + done);
  return done;
}

size_t flush_from_caches(const AlignedFloats& values) {
  const char* first = reinterpret_cast<const char*>(values.data());  // of a line
  const size_t bytes = values.size() * sizeof(float);
  return __builtin_cpu_supports("clflushopt") ? flush_lines_weakly_ordered(first, bytes) : flush_lines(first, bytes);
}

// A task of a loop with as many tasks as threads, which waits until all of them have begun.
struct Gathering {
  std::atomic<int> begun;
  int threads;
};
int gather(void*, int, uint8_t* closure) {
  auto* gathering = reinterpret_cast<Gathering*>(closure);
  gathering->begun++;
  for (int looks = 0; gathering->begun < gathering->threads; looks++)
    if (looks > 1000) sched_yield();  // where threads share a CPU
  return 0;
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

KernelLibrary::KernelLibrary(const std::string& file, const KernelKey& key, Device device) {
  const std::string symbol = kernel_symbol(key, device) + "_argv";
  library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library_) throw Error(fmt::format("{}: {}", file, dlerror()));
  kernel = reinterpret_cast<int (*)(void**)>(dlsym(library_, symbol.c_str()));
  if (kernel) return;
  dlclose(library_);
  throw Error(fmt::format("{}: has no {}", file, symbol));
}

KernelLibrary::~KernelLibrary() {
  dlclose(library_);
}

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
  Gathering gathering{{0}, state_->pool.threads};
  halide_do_par_for(state_->context, gather, 0, state_->pool.threads, reinterpret_cast<uint8_t*>(&gathering));
}

struct KernelRunner::Call {
  std::vector<halide_buffer_t> buffers;
  std::vector<halide_dimension_t> dimensions;
  std::vector<void*> arguments;
};

KernelRunner::KernelRunner(KernelData& data, const Choice& choice, const Machine& machine, const std::string& library,
                           const KernelThreads& threads)
    : data_(data), threads_(threads), library_(library, data.key, machine.device), call_(std::make_unique<Call>()) {
  const KernelKey& key = data.key;
  const Strategy& strategy = strategy_named(choice.strategy);
  const size_t count = key.operands.size() + 1;
  call_->buffers.resize(count);
  call_->dimensions.resize(count * most_kernel_dimensions);
  call_->arguments.push_back(threads.user_context());
  packed_.resize(key.operands.size());
  for (size_t i = 0; i < count; i++) {
    halide_buffer_t& buffer = call_->buffers[i];
    halide_dimension_t* dim = &call_->dimensions[i * most_kernel_dimensions];
    if (i == key.operands.size()) {
      describe_activation(key.result, 0, data.batch, false, data.result.data(), buffer, dim);
    } else if (key.operands[i].is_activation()) {
      describe_activation(key.operands[i], 0, data.batch, true, data.activations[i].data(), buffer, dim);
    } else {
      const PackedWeight packed = strategy.pack(key, choice, machine, i, data.weights[i]);
      packed_[i].assign(packed.values.begin(), packed.values.end());
      describe_weight(packed.extent, packed_[i].data(), buffer, dim);
    }
    call_->arguments.push_back(&buffer);
  }
}

KernelRunner::~KernelRunner() = default;

int KernelRunner::run() {
  return library_.kernel(call_->arguments.data());
}

std::string KernelRunner::check() {
  data_.spoil_result(data_.key.result);
  if (const int status = run(); status != 0) return fmt::format("status {}", status);
  return data_.problem_of_result(data_.key.result);
}

double KernelRunner::time(bool cold) {
  if (cold) {
    for (const AlignedFloats& values : packed_) flushed_bytes_ += flush_from_caches(values);
    _mm_mfence();
  }
  threads_.wake();
  const double start = now();
  const int status = run();
  const double seconds = now() - start;
  if (status != 0) throw Error(fmt::format("status {}", status));
  return seconds;
}

}  // namespace resnetc
