// How the weights of a convolution or a dense layer lie in memory and how kernels read them. As f32 they lie as they
// are. As bf16 two lie in a lane of 32 bits, so that a load of a vector gives two vectors of weights: shifted left the
// lower half is the one as f32, with the lower half masked out the lane is the other. One instruction a vector, exact.
#pragma once

#include "schedules/strategy.h"

namespace resnetc {

struct WeightLayout {
  DType dtype = DType::f32;
  std::vector<int> extent;  // of the weights: output channels of a block, input channels, and whatever follows
  int lanes = 0;            // of a vector of the machine; 0: no pairs of vectors

  // Pairs of bf16 are channels of two vectors that follow each other, where a block has an even number of vectors;
  // else two input channels (the last of an odd number with a zero), which a kernel had better unroll.
  bool pairs_vectors() const { return dtype == DType::bf16 && lanes > 0 && extent[0] % (2 * lanes) == 0; }
  bool pairs_input_channels() const { return dtype == DType::bf16 && !pairs_vectors(); }

  std::vector<int> stored_extent() const;  // in lanes of 32 bits
  int64_t stored_lanes() const;
  double bytes() const { return 4.0 * static_cast<double>(stored_lanes()); }
  PackedWeight stored(PackedWeight plain) const;  // plain: of that extent
};

// A weight operand of a pipeline.
struct StoredWeight {
  StoredWeight(WeightLayout weight_layout, const std::string& name);
  // The weight at these indices of the layout's extent, as f32.
  template <class... Index>
  Halide::Expr operator()(const Index&... index) const {
    return at({Halide::Expr(index)...});
  }

  WeightLayout layout;
  Halide::ImageParam param;

 private:
  Halide::Expr at(std::vector<Halide::Expr> index) const;
};

}  // namespace resnetc
