#include "schedules/conv2d_geometry.h"

#include <algorithm>

#include "schedules/prefetch_weights.h"

namespace resnetc {

using Halide::Expr;

Conv2dGeometry::Conv2dGeometry(const KernelKey& key, int block_channels, int vector_lanes)
    : conv(std::get<Conv2d>(key.op)),
      input(key.operands[0]),
      stored(key.operands[1].dtype),
      block(block_channels),
      lanes(vector_lanes) {
  const std::vector<int>& weight = key.operands[1].dims;
  ic = input.channels(), oc = weight[0], kh = weight[1], kw = weight[2];
  has_bias = key.operands.size() > 2;
  projected = projection_of(conv) ? key.operands[3].channels() : 0;
  const TensorType out = infer_sums(conv, key.operands[0], key.operands[1]);
  oh = out.height(), ow = out.width();
  block_count = blocks(oc, block);
  const int group_oc = oc / conv.groups;
  int groups_read = 0;
  for (int b = 0; b < block_count; b++)
    groups_read = std::max(groups_read, (std::min(b * block + block, oc) - 1) / group_oc - b * block / group_oc + 1);
  reduction = groups_read * (ic / conv.groups);
}

int Conv2dGeometry::first_channel(int block_index) const {
  return std::min(block_index * block / (oc / conv.groups) * (ic / conv.groups), ic - reduction);
}

Expr Conv2dGeometry::first_channel(const Expr& block_index) const {
  if (conv.groups == 1) return 0;
  return Halide::min(block_index * block / (oc / conv.groups) * (ic / conv.groups), ic - reduction);
}

int Conv2dGeometry::lanes_of_channels(int channels) const {
  return block_lanes() / (kh * kw) * channels / (reduction + projected);
}

bool Conv2dGeometry::channels_fill_lines(int channels) const {
  const bool whole_lanes = channels % 2 == 0 || !weight_layout().pairs_input_channels();
  return whole_lanes && lanes_of_channels(channels) % floats_of_line == 0;
}

std::vector<float> Conv2dGeometry::in_blocks(const std::vector<float>& values) const {
  const int group_oc = oc / conv.groups, group_ic = ic / conv.groups, weight_ic = group_ic + projected;
  std::vector<float> result(static_cast<size_t>(block) * static_cast<size_t>(block_count) *
                            static_cast<size_t>(products()));
  const auto row = static_cast<size_t>(block);
  for (int o = 0; o < oc; o++) {
    // From the channel within the group to the channel within what the block reads.
    const int shift = o / group_oc * group_ic - first_channel(o / block);
    for (int tap = 0; tap < kh * kw; tap++) {
      const float* from = &values[(static_cast<size_t>(o) * static_cast<size_t>(kh * kw) + static_cast<size_t>(tap)) *
                                  static_cast<size_t>(weight_ic)];
      float* to = &result[((static_cast<size_t>(o / block) * static_cast<size_t>(kh * kw) + static_cast<size_t>(tap)) *
                               static_cast<size_t>(reduction + projected) +
                           static_cast<size_t>(shift)) *
                              row +
                          static_cast<size_t>(o % block)];
      for (int i = 0; i < weight_ic; i++) to[static_cast<size_t>(i) * row] = from[i];
    }
  }
  return result;
}

PackedWeight Conv2dGeometry::pack(size_t operand, const std::vector<float>& values) const {
  if (operand == 2) return padded_vector(values, block * block_count);
  return weight_layout().stored({weight_extent(), in_blocks(values)});
}

Conv2dOperands::Conv2dOperands(const KernelKey& key, const Conv2dGeometry& geometry, const WeightLayout& weights)
    : input(activation_param(key.operands[0], "input")),
      weight(weights, "weight"),
      bias(weight_param({geometry.block * geometry.block_count}, "bias")) {
  arguments = {input, weight.param};
  if (geometry.has_bias) arguments.push_back(bias);
  for (size_t i = 3; i < key.operands.size(); i++) {
    residuals.push_back(activation_param(key.operands[i], "residual" + std::to_string(i - 3)));
    arguments.push_back(residuals.back());
  }
}

Expr window_term(const Conv2dGeometry& geometry, const Conv2dOperands& operands, const Expr& c, const Expr& x_in,
                 const Expr& y_in, const Expr& n, const Expr& channel, const Expr& kx, const Expr& ky) {
  const Expr block_index = c / geometry.block;
  return operands.input(geometry.first_channel(block_index) + channel, x_in + kx * geometry.conv.dilation.w,
                        y_in + ky * geometry.conv.dilation.h, n) *
         operands.weight(c % geometry.block, channel, kx, ky, block_index);
}

Expr add_residual(const Add& add, const TensorType& type, const Halide::ImageParam& residual, const Expr& value,
                  const Expr& c, const Expr& x, const Expr& y, const Expr& n, int lanes) {
  if (add == Add{}) return value + residual(c, x, y, n);
  const int channels = type.channels();
  Expr inside, channel;
  if (add.channels_before % lanes == 0 && channels % lanes == 0) {
    // Whole vectors lie inside or outside, so that no lane needs an address of its own.
    const Expr vector = c / lanes - add.channels_before / lanes;
    inside = vector >= 0 && vector < channels / lanes;
    channel = Halide::clamp(vector, 0, channels / lanes - 1) * lanes + c % lanes;
  } else {
    inside = c >= add.channels_before && c < add.channels_before + channels;
    channel = Halide::clamp(c - add.channels_before, 0, channels - 1);
  }
  return value + Halide::select(inside, residual(channel, x * add.subsample, y * add.subsample, n), 0.0f);
}

Expr rectified(const Relu& relu, const Expr& value) {
  const Expr positive = Halide::max(value, 0.0f);
  return relu.maximum == 0 ? positive : Halide::min(positive, static_cast<float>(relu.maximum));
}

Expr apply_epilogue(const KernelKey& key, const Conv2dOperands& operands, Expr sum, const Expr& c, const Expr& x,
                    const Expr& y, const Expr& n, const Expr& flat_pixel, int lanes) {
  size_t residual = 0;
  for (const Epilogue& step : std::get<Conv2d>(key.op).epilogue) {
    if (std::holds_alternative<MaxPool>(step)) break;
    if (std::holds_alternative<Project>(step)) residual++;
    if (const auto* relu = std::get_if<Relu>(&step)) sum = rectified(*relu, sum);
    if (const auto* add = std::get_if<Add>(&step)) {
      const TensorType& type = key.operands[3 + residual];
      if (flat_pixel.defined() && *add == Add{} && is_flat(type)) {
        sum += operands.residuals[residual](c, flat_pixel, 0, n);
      } else {
        sum = add_residual(*add, type, operands.residuals[residual], sum, c, x, y, n, lanes);
      }
      residual++;
    }
  }
  return sum;
}

bool border_holds_padding(const KernelKey& key) {
  const Sides &padding = std::get<Conv2d>(key.op).padding, &border = key.operands[0].border;
  return border.top >= padding.top && border.left >= padding.left && border.bottom >= padding.bottom &&
         border.right >= padding.right;
}

bool suits_winograd(const KernelKey& key, const Machine& machine, Hw stride, int channels) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  if (machine.largest_winograd < 2 || !conv || pool_of(*conv) || projection_of(*conv)) return false;
  const std::vector<int>& weight = key.operands[1].dims;
  return conv->groups == 1 && conv->stride == stride && conv->dilation == Hw{} && weight[1] == 3 && weight[2] == 3 &&
         key.operands[0].channels() % channels == 0 && border_holds_padding(key);
}

const MaxPool* pool_of(const Conv2d& conv) {
  return conv.epilogue.empty() ? nullptr : std::get_if<MaxPool>(&conv.epilogue.back());
}

double register_tile_cycles(const Conv2dGeometry& g, int tile, int pixels, int unroll, const Machine& machine) {
  // Cycles of a load. AVX-512 takes a broadcast input as a memory operand; the others spend an instruction on it, and
  // 1 x 13 reaches 77 % of peak on Zen 3.
  const double load = machine.lanes == 16 ? 0.5 : 0.6;
  const int vectors = g.block / machine.lanes;
  // Two multiply-adds a cycle that each take four; eight sums would just do (4 x 2 reaches 87 %). Then, once a
  // tile: addresses, biases, stores.
  // Widening bf16 hides behind the multiply-adds as loads do: Granite Rapids, 1x1 1024 to 256 channels of 14 pixels,
  // weights hot, 2 x 13, f32 and bf16: 0.79 and 0.75 ms.
  const double widening = g.stored == DType::bf16 ? 0.5 * vectors : 0;
  // AVX-512 of Intel multiplies on the ports that count and address too, and loads delay a little what they run beside:
  // Granite Rapids, of peak, 1x1 512 to 128 channels of 28 x 28 pixels, unrolled by four and not: 4 x 4 94 and 84 %,
  // 2 x 14 91 and 83 %; 3x3 of stride 2, 256 channels to 14 x 14, not: 4 x 4 80 %, 4 x 6 89 %, 2 x 14 90 %.
  const double beside = machine.lanes == 16 ? 1.0 / unroll + 0.05 * (vectors + tile) : 0.25 / unroll;
  const double step = std::max({0.5 * vectors * tile, load * (vectors + tile) + widening, 4.5}) + beside;
  const double once = 16.0 + 4.0 * tile + 1.0 * vectors * tile;
  return g.block_count * blocks(pixels, tile) * (step * g.products() + once);
}

bool is_register_tile(int vectors, int pixels, const Machine& machine) {
  // Besides the sums: the weights, a broadcast input, a product where there is no fused multiply-add, and one register
  // that LLVM likes to have. Zen 3, 1x1 512 to 128 channels, of peak: 2 x 6 95 %, 3 x 4 (no register left) 88 %.
  // The mask of bf16 weights takes none: LLVM reads it from memory, or blends with zeros, where registers are short.
  const int other = 2 + (machine.fused_multiply_add ? 0 : 1);
  return vectors * pixels + vectors + other <= machine.registers;
}

std::vector<RegisterTile> register_tiles(const KernelKey& key, int pixels, int unroll, const Machine& machine) {
  std::vector<RegisterTile> tiles;
  for (int vectors = 1; vectors <= most_oc_vectors; vectors++) {
    // With groups, a wider block reads, and multiplies by zero, the channels of more groups.
    const Conv2dGeometry g(key, vectors * machine.lanes);
    for (int tile = 1; tile <= std::min(pixels, most_tile_pixels) && is_register_tile(vectors, tile, machine); tile++)
      tiles.push_back({vectors, tile, register_tile_cycles(g, tile, pixels, unroll, machine)});
  }
  std::stable_sort(tiles.begin(), tiles.end(),
                   [](const RegisterTile& a, const RegisterTile& b) { return a.cycles < b.cycles; });
  return tiles;
}

}  // namespace resnetc
