// Whether a net's weights come from memory each time that they are read: they do where they outgrow half of the cache.
#pragma once

#include <cstddef>

#include "ir/graph.h"

namespace resnetc {

size_t weight_bytes(const Graph& graph);

// The last-level cache of this machine, as far as it may be counted on.
size_t usable_cache_bytes();

// Of a machine that is not known.
inline constexpr size_t unknown_cache_bytes = size_t{64} << 20;

inline bool are_cold(size_t weight_bytes, size_t cache_bytes) {
  return weight_bytes > cache_bytes / 2;
}

}  // namespace resnetc
