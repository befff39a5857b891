// What an ONNX value is that depends on the model's input.
#pragma once

#include <optional>
#include <vector>

#include "compiler/import/constant.h"
#include "ir/graph.h"

namespace resnetc {

// What a dimension of an ONNX tensor counts. `one` is a dimension of one element, which comes and goes freely.
enum class Axis { batch, channel, height, width, one };

// x -> x * scale + shift for each channel.
struct Affine {
  std::vector<double> scale, shift;
};

// A node of the graph as ONNX sees it: its dimensions in their order (N x C x H x W or another, which costs nothing),
// and what ONNX has done to it that waits for the node that can take it in. It has happened to the value in this order:
struct Activation {
  Value value = -1;
  std::vector<Axis> axes;
  std::optional<Affine> affine;                 // multiplied and added per channel,
  Hw subsample;                                 // every so-manieth row and column taken,
  Sides zeros;                                  // zeros put around the image
  int channels_before = 0, channels_after = 0;  // and beside its channels
  bool is_normalised = false;                   // the input, and preprocessing does its normalisation
  bool is_softmax = false;                      // a final softmax, which is left out

  bool waits() const {
    return affine || subsample != Hw{} || zeros != Sides{} || channels_before != 0 || channels_after != 0;
  }
};

}  // namespace resnetc
