// What elementwise ops, pools and changes of layout compute, on the CPU and on devices; how it is scheduled stands in
// elementwise.cpp and gpu_elementwise.cpp.
#pragma once

#include "schedules/conv2d_geometry.h"

namespace resnetc {

template <class Wanted>
bool is_op(const KernelKey& key, const Machine&) {
  return std::holds_alternative<Wanted>(key.op);
}
bool is_elementwise(const KernelKey& key, const Machine&);
bool is_layout(const KernelKey& key, const Machine&);

// Weights in the IR's order.
PackedWeight pack_plain(const KernelKey&, const Choice&, const Machine&, size_t, const std::vector<float>& values);

// An elementwise op's value at (c, x, y, n) of an image, or at (c, n) of a vector, `vector_lanes` channels at once.
// Adds the operands to the arguments, in the key's order.
Halide::Expr elementwise_value(const KernelKey& key, const Halide::Expr& c, const Halide::Expr& x,
                               const Halide::Expr& y, const Halide::Expr& n, int vector_lanes,
                               std::vector<Halide::Argument>& arguments);

// The largest of a pool's window, as a Func(c, x, y, n) with an update over the window.
Halide::Func largest_of_window(const MaxPool& pool, const TensorType& type, const Halide::ImageParam& input);

}  // namespace resnetc
