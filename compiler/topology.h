// The block form of a topology file: a ResNet as a person thinks of it, checked and with its defaults filled in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compiler/model_file.h"
#include "compiler/rename_rule.h"

namespace resnetc {

enum class BlockKind { basic, bottleneck };
enum class StrideOn { conv3x3, conv1x1 };  // the convolution of a bottleneck that strides: v1.5 or v1
enum class Activation { post, pre };       // batch norm and ReLU after each convolution, or before it (v2)
enum class ShortcutKind { projection, zero_pad };
enum class TensorNames { torchvision, akamaster };

// Zeros around an image: `sides`, or TensorFlow's "SAME", as many as give an image of size / stride, rounded up, an odd
// one at the bottom or right.
struct Padding {
  Sides sides;
  bool same = false;
  bool operator==(const Padding&) const = default;
};

// A square window.
struct Window {
  int kernel = 1;
  int stride = 1;
  Padding padding;
};

// What a convolution comes with.
struct ConvStyle {
  bool bias = false;
  std::optional<double> epsilon = 1e-5;  // of the batch norm that belongs to it; none: no batch norm
};

struct Stem {
  int channels = 0;
  Window conv;
  std::vector<int> deep;  // channels of convolutions before the last one; the first of all has the stride
  Activation activation = Activation::post;  // pre: no batch norm and ReLU after the last one, the blocks' come first
  std::optional<Window> max_pool;
};

struct Shortcut {
  ShortcutKind kind = ShortcutKind::projection;
  int average_pool = 0;  // kernel of an average pool that strides in place of the projection; 0: none
  ConvStyle conv;        // the projection's
};

// channels: of a block's 3x3 convolution before groups and width; a bottleneck has 4 times as many outputs.
struct Stage {
  int blocks = 1;
  int channels = 0;
  int stride = 1;  // of its first block
};

struct Head {
  int classes = 0;
  std::filesystem::path labels;  // as seen from the working directory; empty: none
};

struct Topology : ModelFile {
  std::optional<Stem> stem;  // without one the first block reads the input
  BlockKind block = BlockKind::basic;
  StrideOn stride_on = StrideOn::conv3x3;
  Activation activation = Activation::post;
  Padding padding{all_sides(1)};  // of the 3x3 convolutions of blocks
  ConvStyle conv;                 // of every convolution but the shortcuts'
  Shortcut shortcut;
  int groups = 1;
  int width_per_group = 64;
  std::vector<Stage> stages;
  std::optional<Head> head;
  TensorNames names = TensorNames::torchvision;
  std::vector<RenameRule> renames;  // give the file's tensors those names
};

// Throws Error naming the file, the JSON path and the fix.
Topology read_topology(const std::filesystem::path& file);
Topology read_topology(const JsonValue& json, const std::filesystem::path& file);

}  // namespace resnetc
