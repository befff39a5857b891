// Calls a compiled kernel with operands of its own, as an emitted program would: bordered images, packed weights, and
// the runtime's pool as its threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compiler/tune/kernel_data.h"

namespace resnetc {

// A shared object with a kernel.
class KernelLibrary {
 public:
  // Throws Error if it does not define the kernel's symbol.
  KernelLibrary(const std::string& file, const KernelKey& key, Device device);
  ~KernelLibrary();
  KernelLibrary(const KernelLibrary&) = delete;
  KernelLibrary& operator=(const KernelLibrary&) = delete;
  int (*kernel)(void** arguments) = nullptr;

 private:
  void* library_ = nullptr;
};

// Threads and scratch memory, shared by all kernels of a process.
class KernelThreads {
 public:
  KernelThreads(int threads, uint64_t scratch_bytes);  // throws Error
  ~KernelThreads();
  KernelThreads(const KernelThreads&) = delete;
  KernelThreads& operator=(const KernelThreads&) = delete;
  void* user_context() const;
  // Afterwards all threads are awake, as they are between the kernels of a net.
  void wake() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class KernelRunner {
 public:
  // library: of the kernel. Throws Error.
  KernelRunner(KernelData& data, const Choice& choice, const Machine& machine, const std::string& library,
               const KernelThreads& threads);
  ~KernelRunner();
  KernelRunner(const KernelRunner&) = delete;
  KernelRunner& operator=(const KernelRunner&) = delete;

  // Runs once. Returns what is wrong with the status or the result, "" if nothing.
  std::string check();
  // Seconds of one call. cold: the weights are first thrown out of all caches. Throws Error for a status that is one.
  double time(bool cold);
  // Bytes of the lines that were thrown out so far.
  size_t flushed_bytes() const { return flushed_bytes_; }

 private:
  struct Call;
  KernelData& data_;
  const KernelThreads& threads_;
  KernelLibrary library_;
  std::vector<AlignedFloats> packed_;
  size_t flushed_bytes_ = 0;
  std::unique_ptr<Call> call_;
  int run();
};

}  // namespace resnetc
