// Grouped convolutions whose groups' channels alternate (Conv2d::interleave), for vectors whose lanes belong to as many
// groups: sizes, where channels lie, and packed weights. Vectors are the machine's where they divide the interleave,
// else shorter.
#pragma once

#include "schedules/conv2d_geometry.h"

namespace resnetc {

// A vector of groups has `lanes` groups. A block has `outputs` channels of each group of one of them; the blocks of a
// vector of groups follow each other.
struct InterleavedGeometry : Conv2dGeometry {
  InterleavedGeometry(const KernelKey& key, int outputs_of_block, const Machine& machine);

  int group_ic, group_oc;
  int outputs;           // divides group_oc
  int blocks_of_vector;  // group_oc / outputs

  // Where the first lane lies of the first input and of the first output channel that a block reads and writes.
  template <class Index>
  Index first_input(const Index& b) const {
    return first_lane(b / blocks_of_vector, group_ic);
  }
  template <class Index>
  Index first_output(const Index& b) const {
    return first_lane(b / blocks_of_vector, group_oc) + b % blocks_of_vector * (outputs * conv.interleave);
  }
  // Of the weights, in an array of weight_extent() whose first dimension is outputs by lanes.
  PackedWeight pack(size_t operand, const std::vector<float>& values) const;

 private:
  template <class Index>
  Index first_lane(const Index& vector, int group_channels) const {
    return vector * lanes / conv.interleave * (group_channels * conv.interleave) + vector * lanes % conv.interleave;
  }
};

// Whether groups alternate and the padding lies within the border.
bool is_interleaved(const KernelKey& key, const Machine& machine);

}  // namespace resnetc
