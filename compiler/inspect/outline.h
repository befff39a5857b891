// A graph as a person sees it: the nodes that compute, in panels (a stem, residual blocks, a head) with equal panels in
// a row folded into one.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

// What an item reads of the panel before: its exit.
inline constexpr int panel_entry = -1;

struct OutlineItem {
  Value value;
  std::vector<int> inputs;  // the items of the same panel that it reads, in order, each once; or panel_entry
  bool is_output = false;   // of the graph
};

// One value alone passes from a panel to the next: its last item's.
struct Panel {
  std::string prefix;  // that all names in it begin with, "layer1.0."; may be empty
  std::string title;   // "layer1.0", "layer1.1 – 3", "stem", "block 3", …
  int repeats = 1;
  std::vector<OutlineItem> items;  // of the first, if there are several
};

// Borders make no difference between panels.
std::vector<Panel> outline(const Graph& graph);

}  // namespace resnetc
