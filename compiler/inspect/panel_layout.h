// One panel of a drawing. Beside the first lane on its left, and beside every lane on its right, there is room for
// connections that skip nodes.
#pragma once

#include <vector>

#include "compiler/inspect/grid.h"
#include "compiler/inspect/layout.h"

namespace resnetc {

inline constexpr int panel_padding = 12;
inline constexpr int entry_height = 22;  // from a panel's top to where the connections from its entry branch

// The lanes of all panels of a drawing, so that they are in line.
struct Lanes {
  std::vector<int> starts, widths;  // starts: from the panel's left side
  int center() const { return starts[0] + widths[0] / 2; }
};

// How a connection within a panel runs.
struct Route {
  int from, to;  // items; from may be panel_entry
  enum Kind {
    straight,   // down within a lane
    fork,       // from above to the first item of a lane
    join,       // down in the lane of `from`, then across to `to`
    roundabout  // beside the lane of `to`
  } kind;
  bool on_left = false;
  int track = 0;  // of those that run on the same side of the same lane
};

class PanelLayout {
 public:
  // The graph and the panel must outlive it.
  PanelLayout(const Graph& graph, const Panel& panel);

  int left_tracks() const { return left_tracks_; }
  void widen(std::vector<int>& lane_widths) const;
  int width(const Lanes& lanes) const;
  int height() const;

  // Draws it. Returns where the panel's result leaves its last box.
  Point place(Point at, const Lanes& lanes, Drawing& drawing) const;

 private:
  const Graph& graph_;
  const Panel& panel_;
  Grid grid_;
  std::vector<Route> routes_;
  int left_tracks_ = 0;
  bool has_right_track_ = false;

  Route route(int from, int to) const;
  void choose_tracks();
  std::string short_name(Value value) const;
  Box box(Value value, const Rectangle& at) const;
  void connect(const Route& route, const Rectangle& from, const Rectangle& to, Drawing& drawing) const;
};

// The lanes' places for their widths and the connections on the left of the first.
Lanes make_lanes(std::vector<int> widths, int left_tracks);

}  // namespace resnetc
