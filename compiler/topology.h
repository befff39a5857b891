// The block form of a topology file: a ResNet as a person thinks of it, checked and with its defaults filled in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/type.h"
#include "runtime/description.h"

namespace resnetc {

enum class BlockKind { basic, bottleneck };
enum class ShortcutKind { projection, zero_pad };
enum class TensorNames { torchvision, akamaster };

// A square window.
struct Window {
  int kernel = 1;
  int stride = 1;
  int padding = 0;
};

struct Stem {
  int channels = 0;
  Window conv;
  std::optional<Window> max_pool;
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

struct Topology {
  std::filesystem::path file;
  std::string name;
  int channels = 0;
  Hw size;
  std::optional<rn_preprocess> preprocess;  // its crop, where there is one, is `size`
  std::optional<Stem> stem;                 // without one the first block reads the input
  BlockKind block = BlockKind::basic;
  ShortcutKind shortcut = ShortcutKind::projection;
  int groups = 1;
  int width_per_group = 64;
  std::vector<Stage> stages;
  std::optional<Head> head;
  TensorNames names = TensorNames::torchvision;
};

inline constexpr int most_classes = 65536;
inline constexpr int most_side = 8192;  // of the input
inline constexpr int most_resize = 16384;

// Throws Error naming the file, the JSON path and the fix.
Topology read_topology(const std::filesystem::path& file);

}  // namespace resnetc
