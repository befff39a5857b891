// What the convolution strategies share: how output channels are blocked, which input channels a block reads, packed
// weights, the sum over one window, and the epilogue.
#pragma once

#include <vector>

#include "schedules/operands.h"
#include "schedules/weight_layout.h"

namespace resnetc {

struct Conv2dGeometry {
  // lanes: of the vectors that read the weights; 0 where none do, or all that is asked for is sizes.
  Conv2dGeometry(const KernelKey& key, int block_channels, int lanes = 0);

  const Conv2d& conv;
  TensorType input;
  int ic, oc, kh, kw, oh, ow;  // oh, ow: of the convolution itself, before a max pool in the epilogue
  DType stored;                // how weights are
  bool has_bias;
  int block;  // output channels in a block; the last block is padded with zero weights
  int block_count;
  // Input channels that a block reads. With groups, a block that spans several reads the channels of all of them and
  // has zero weights outside the own group of each output channel.
  int reduction;
  int lanes;
  // Channels of a second image that are summed up with the window's, by a Project; 0 if there is none.
  int projected;

  // Products in each sum: so many rows of `block` weights has a block.
  int products() const { return reduction * kh * kw + projected; }

  // The first input channel that a block reads: min(first group of the block * ic / groups, ic - reduction).
  int first_channel(int block_index) const;
  Halide::Expr first_channel(const Halide::Expr& block_index) const;

  // With a Project, whose weights follow as further channels, kw = kh = 1.
  std::vector<int> weight_extent() const { return {block, reduction + projected, kw, kh, block_count}; }
  WeightLayout weight_layout() const { return {stored, weight_extent(), lanes}; }
  // Of the weights. What is a candidate depends on these, so that what was measured with f32 weights serves bf16 too.
  double bytes_as_f32() const { return 4.0 * products() * block * block_count; }
  // Lanes of 32 bits that a block's weights take up, and those of so many input channels at one place of the window.
  int block_lanes() const { return static_cast<int>(weight_layout().stored_lanes() / block_count); }
  int lanes_of_channels(int channels) const;
  // Whether the latter are whole cache lines.
  bool channels_fill_lines(int channels) const;
  // Whether weights of two input channels lie in one lane, so that steps of an even number know which half is whose.
  bool has_pairs_of_channels() const { return weight_layout().pairs_input_channels() && reduction % 2 == 0; }
  // The weights, given in the IR's order, as f32 in an array of weight_extent().
  std::vector<float> in_blocks(const std::vector<float>& values) const;
  PackedWeight pack(size_t operand, const std::vector<float>& values) const;
};

// The operands of a convolution as Halide parameters, in the key's order.
struct Conv2dOperands {
  Conv2dOperands(const KernelKey& key, const Conv2dGeometry& geometry)
      : Conv2dOperands(key, geometry, geometry.weight_layout()) {}
  Conv2dOperands(const KernelKey& key, const Conv2dGeometry& geometry, const WeightLayout& weights);
  Halide::ImageParam input;
  StoredWeight weight;
  Halide::ImageParam bias;
  std::vector<Halide::ImageParam> residuals;  // of the epilogue's steps
  std::vector<Halide::Argument> arguments;
};

// One term of the sum for channel c of the pixel whose window starts at (x_in, y_in): that of the channel-th channel
// which the block of c reads, at column kx and row ky of the window.
Halide::Expr window_term(const Conv2dGeometry& geometry, const Conv2dOperands& operands, const Halide::Expr& c,
                         const Halide::Expr& x_in, const Halide::Expr& y_in, const Halide::Expr& n,
                         const Halide::Expr& channel, const Halide::Expr& kx, const Halide::Expr& ky);

// The steps behind a Project and up to a max pool, applied to a sum. x, y: output pixel; where a residual is a plain
// image without border, flat_pixel (if defined) addresses it as one row.
Halide::Expr apply_epilogue(const KernelKey& key, const Conv2dOperands& operands, Halide::Expr sum,
                            const Halide::Expr& c, const Halide::Expr& x, const Halide::Expr& y, const Halide::Expr& n,
                            const Halide::Expr& flat_pixel, int lanes);

// Whether the convolution's padding lies within its input's border, so that no window reaches out of the memory.
bool border_holds_padding(const KernelKey& key);

// Whether Winograd may compute it: 3x3, of that stride, without groups, dilation, projection or max pool, and with a
// multiple of so many input channels.
bool suits_winograd(const KernelKey& key, const Machine& machine, Hw stride, int channels);

// The max pool that ends the epilogue, or nullptr.
const MaxPool* pool_of(const Conv2d& conv);

// x + z of op Add, z read from the residual as He et al.'s option-A shortcut says.
Halide::Expr add_residual(const Add& add, const TensorType& residual_type, const Halide::ImageParam& residual,
                          const Halide::Expr& value, const Halide::Expr& c, const Halide::Expr& x,
                          const Halide::Expr& y, const Halide::Expr& n, int lanes);

// max(value, 0), and at most the ReLU's maximum.
Halide::Expr rectified(const Relu& relu, const Halide::Expr& value);

// Whether a [n,h,w,c] image has its pixels one after the other, so that it can be addressed as a single row.
inline bool is_flat(const TensorType& type) {
  return type.border == Sides{};
}

// Register tiles of oc_vectors vectors of output channels by `pixels` pixels that fit the machine, with the estimated
// cycles of `pixels` output pixels (of one image or one row); the cheapest first. unroll: input channels a step.
struct RegisterTile {
  int oc_vectors, pixels;
  double cycles;
};
// The largest of them, and whether a tile fits.
inline constexpr int most_oc_vectors = 4, most_tile_pixels = 28;
bool is_register_tile(int oc_vectors, int pixels, const Machine& machine);
std::vector<RegisterTile> register_tiles(const KernelKey& key, int pixels, int unroll, const Machine& machine);

// The estimated cycles of `pixels` output pixels, `tile` of them at a time by blocks of g.block channels.
double register_tile_cycles(const Conv2dGeometry& g, int tile, int pixels, int unroll, const Machine& machine);

}  // namespace resnetc
