// The lanes and rows of a panel: its main line goes down lane 0, each branch has a lane of its own beside it.
#pragma once

#include <vector>

#include "compiler/inspect/outline.h"

namespace resnetc {

struct Grid {
  std::vector<int> lane, row;                      // of each item
  std::vector<std::vector<int>> lane_rows = {{}};  // the rows that each lane has items in, ascending
  int rows = 0;
  int lanes() const { return static_cast<int>(lane_rows.size()); }

  // The entry is above row 0 of lane 0.
  int lane_of(int item) const { return item == panel_entry ? 0 : lane[static_cast<size_t>(item)]; }
  int row_of(int item) const { return item == panel_entry ? -1 : row[static_cast<size_t>(item)]; }
  // Whether a lane has no item in rows first to last.
  bool is_free(int in_lane, int first, int last) const;
};

// An item stands below all that it reads, in the lane of one of these if it goes on there; the last is at the bottom.
Grid make_grid(const Panel& panel);

}  // namespace resnetc
