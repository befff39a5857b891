#include "compiler/inspect/grid.h"

#include <algorithm>

namespace resnetc {

bool Grid::is_free(int in_lane, int first, int last) const {
  const std::vector<int>& rows_there = lane_rows[static_cast<size_t>(in_lane)];
  const auto next = std::lower_bound(rows_there.begin(), rows_there.end(), first);
  return next == rows_there.end() || *next > last;
}

Grid make_grid(const Panel& panel) {
  Grid grid;
  std::vector<int> last_reader(panel.items.size(), -1);
  for (size_t i = 0; i < panel.items.size(); i++)
    for (int input : panel.items[i].inputs)
      if (input != panel_entry) last_reader[static_cast<size_t>(input)] = static_cast<int>(i);

  std::vector<int> tip = {panel_entry};  // of each lane: the item whose result would go straight down
  std::vector<int> row_of_last_use = {0};
  for (size_t i = 0; i < panel.items.size(); i++) {
    const std::vector<int>& inputs = panel.items[i].inputs;
    int row = 0, lane = -1, source_row = -1;
    for (int input : inputs) {
      row = std::max(row, grid.row_of(input) + 1);
      const int l = grid.lane_of(input);
      if (tip[static_cast<size_t>(l)] == input && (lane < 0 || l < lane)) lane = l;
      source_row = grid.row_of(input);
    }
    if (inputs.empty()) lane = i == 0 ? 0 : -1;
    if (lane < 0) {  // a branch begins
      for (size_t l = 1; l < tip.size() && lane < 0; l++) {
        const bool is_done = last_reader[static_cast<size_t>(tip[l])] < static_cast<int>(i);
        if (is_done && row_of_last_use[l] <= source_row) lane = static_cast<int>(l);
      }
      if (lane < 0) {
        lane = static_cast<int>(tip.size());
        tip.push_back(panel_entry);
        grid.lane_rows.emplace_back();
        row_of_last_use.push_back(0);
      }
    }
    for (int input : inputs)
      if (input != panel_entry) {
        int& last = row_of_last_use[static_cast<size_t>(grid.lane_of(input))];
        last = std::max(last, row);
      }
    tip[static_cast<size_t>(lane)] = static_cast<int>(i);
    row_of_last_use[static_cast<size_t>(lane)] = std::max(row_of_last_use[static_cast<size_t>(lane)], row);
    // The panel's exit is below everything else.
    if (i + 1 == panel.items.size()) row = std::max(row, grid.rows - (lane == 0 || i == 0 ? 1 : 0));
    grid.lane.push_back(lane);
    grid.row.push_back(row);
    grid.lane_rows[static_cast<size_t>(lane)].push_back(row);
    grid.rows = std::max(grid.rows, row + 1);
  }
  return grid;
}

}  // namespace resnetc
