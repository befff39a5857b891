#include "compiler/cold_weights.h"

#include <algorithm>

#include "runtime/program/cache_size.h"
#include "runtime/thread_count.h"

namespace resnetc {

size_t weight_bytes(const Graph& graph) {
  size_t bytes = 0;
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<Weight>(node.op))
      bytes += static_cast<size_t>(element_count(node.type)) * element_bytes(node.type.dtype);
  return bytes;
}

// A guest shares its host's cache with others: of the 480 MB that a Granite Rapids reports, two CPUs were seen to have
// 64 to 128 (reading 64 MB over and over 47 GB/s, 128 MB 29, more 23).
size_t usable_cache_bytes() {
  return std::min(program::last_level_cache_bytes(),
                  (size_t{64} << 20) * static_cast<size_t>(runtime::default_thread_count()));
}

}  // namespace resnetc
