// Calls a compiled kernel with operands of its own, as an emitted program would: bordered images, packed weights, and
// the runtime's pool as its threads.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "ir/reference.h"
#include "schedules/strategy.h"

namespace resnetc {

// Starts on a cache line, as the arena and the weights of an emitted program do.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t line{64};
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), line)); }
  void deallocate(T* memory, size_t) { ::operator delete(memory, line); }
  bool operator==(const CacheLineAllocator&) const = default;
};
using AlignedFloats = std::vector<float, CacheLineAllocator<float>>;

// Threads and scratch memory, shared by all kernels of a process.
class KernelThreads {
 public:
  KernelThreads(int threads, uint64_t scratch_bytes);  // throws Error
  ~KernelThreads();
  KernelThreads(const KernelThreads&) = delete;
  KernelThreads& operator=(const KernelThreads&) = delete;
  void* user_context() const;
  // A parallel loop that does nothing: afterwards all threads are awake, as they are between the kernels of a net.
  void wake() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Random operands of a key, the reference's result for them, and the memory that all its candidates share.
class KernelData {
 public:
  KernelData(const KernelKey& key, int batch, int threads);

  const KernelKey& key() const { return key_; }
  int batch() const { return batch_; }

 private:
  friend class KernelRunner;
  KernelKey key_;
  int batch_;
  std::vector<std::vector<float>> weights_;  // in the IR's order, empty for activations
  std::vector<AlignedFloats> activations_;   // with borders of zeros; empty for weights
  AlignedFloats result_;                     // with its border
  Tensor expected_;
};

class KernelRunner {
 public:
  // library: a shared object that defines the key's symbol. Throws Error.
  KernelRunner(KernelData& data, const Choice& choice, const Machine& machine, const std::string& library,
               const KernelThreads& threads);
  ~KernelRunner();
  KernelRunner(const KernelRunner&) = delete;
  KernelRunner& operator=(const KernelRunner&) = delete;

  // Runs once. Returns what is wrong with the status or the result, "" if nothing.
  std::string check();
  // Seconds of one call. cold: the weights are first thrown out of all caches.
  double time(bool cold);

 private:
  struct Call;
  KernelData& data_;
  const KernelThreads& threads_;
  void* library_ = nullptr;
  std::vector<AlignedFloats> packed_;
  std::unique_ptr<Call> call_;
  int run();
};

}  // namespace resnetc
