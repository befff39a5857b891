#include "schedules/interleaved_geometry.h"

#include <numeric>

namespace resnetc {
namespace {

// Vectors that none but whole groups of an interleave share.
int lanes_of(const KernelKey& key, const Machine& machine) {
  return std::gcd(std::get<Conv2d>(key.op).interleave, machine.lanes);
}

}  // namespace

InterleavedGeometry::InterleavedGeometry(const KernelKey& key, int outputs_of_block, const Machine& machine)
    : Conv2dGeometry(key, outputs_of_block * lanes_of(key, machine), lanes_of(key, machine)),
      group_ic(ic / conv.groups),
      group_oc(oc / conv.groups),
      outputs(outputs_of_block),
      blocks_of_vector(group_oc / outputs) {
  reduction = group_ic;
}

PackedWeight InterleavedGeometry::pack(size_t operand, const std::vector<float>& values) const {
  if (operand == 2) return padded_vector(values, oc);
  PackedWeight packed{weight_extent(), {}};
  packed.values.reserve(values.size());
  for (int b = 0; b < block_count; b++)
    for (int tap = 0; tap < kh * kw; tap++)
      for (int i = 0; i < group_ic; i++)
        for (int l = 0; l < block; l++) {
          const int o = first_output(b) + l / lanes * conv.interleave + l % lanes;
          packed.values.push_back(values[static_cast<size_t>((int64_t{o} * kh * kw + tap) * group_ic + i)]);
        }
  return weight_layout().stored(std::move(packed));
}

bool is_interleaved(const KernelKey& key, const Machine&) {
  const auto* conv = std::get_if<Conv2d>(&key.op);
  return conv && conv->interleave > 1 && border_holds_padding(key);
}

}  // namespace resnetc
