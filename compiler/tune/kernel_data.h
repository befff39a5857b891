// Random operands of a kernel, as an emitted program would give them, and the reference's result for them: what all
// candidates of the kernel are called with.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "ir/reference.h"
#include "schedules/strategy.h"

struct halide_buffer_t;
struct halide_dimension_t;

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

// Random operands of a key, the reference's result for them, and memory for a result.
struct KernelData {
  KernelKey key;
  int batch;
  std::vector<std::vector<float>> weights;  // in the IR's order, empty for activations
  std::vector<AlignedFloats> activations;   // with borders of zeros; empty for weights
  AlignedFloats result;                     // room for it with its border

  KernelData(const KernelKey& key, int batch, int threads);

  // Before a call: the border is zero, the rest what no kernel may leave there. type: key.result, or without its
  // border.
  void spoil_result(const TensorType& type);
  // After it: what is wrong, "" if nothing.
  std::string problem_of_result(const TensorType& type) const;

 private:
  Tensor expected_;
};

inline constexpr int most_kernel_dimensions = 5;

// Floats of one image with its border, or of a vector.
int64_t stored_floats(const TensorType& type);

// Halide's view of `batch` images from the one of number `first` on, which lies at `start`: (c, x, y, n), 0 being the
// first pixel inside the border. with_border: the border belongs to it.
void describe_activation(const TensorType& type, int first, int batch, bool with_border, float* start,
                         halide_buffer_t& buffer, halide_dimension_t* dim);

// The same of a packed weight.
void describe_weight(const std::vector<int>& extent, float* start, halide_buffer_t& buffer, halide_dimension_t* dim);

}  // namespace resnetc
