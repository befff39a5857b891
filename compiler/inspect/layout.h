// Where everything of a drawing goes: panels from top to bottom, in as many columns as make a page of a screen's shape.
// Within a panel each branch has a lane of its own; connections that skip nodes run beside the lanes. Lengths are
// pixels, x to the right and y down.
#pragma once

#include <string>
#include <vector>

#include "compiler/inspect/label.h"
#include "compiler/inspect/outline.h"

namespace resnetc {

struct Point {
  int x = 0, y = 0;
};

struct Rectangle {
  int x = 0, y = 0, width = 0, height = 0;
  int right() const { return x + width; }
  int bottom() const { return y + height; }
  int center_x() const { return x + width / 2; }
  int center_y() const { return y + height / 2; }
};

// A part of a box: one step of a node.
struct Cell {
  NodeStep step;
  int x = 0, width = 0;
};

struct Box {
  Rectangle at;
  std::vector<Cell> cells;
  std::string name;  // short enough for half of the box; empty if the steps say it
  Value value;
};

struct PanelBox {
  Rectangle at;
  std::string title;  // short enough for its place
  int repeats = 1;
};

// A line through points.
struct Connection {
  std::vector<Point> points;
  bool has_arrow = true;  // at its end
};

// Text whose baseline begins there.
struct Caption {
  Point at;
  std::string text;
};

struct Drawing {
  std::string heading;
  Rectangle at;  // heading included
  std::vector<PanelBox> panels;
  std::vector<Box> boxes;
  std::vector<Connection> connections;
  std::vector<Caption> shapes;   // beside connections
  std::vector<Caption> outputs;  // above boxes whose value is an output of the graph, right-aligned
};

struct GraphToDraw {
  std::string heading;
  const Graph* graph;
};

inline constexpr int name_size = 11, what_size = 12, detail_size = 10, title_size = 12, heading_size = 15;

// One drawing beside the other, from (0, 0).
std::vector<Drawing> lay_out(const std::vector<GraphToDraw>& graphs);

// An upper estimate, for a sans-serif font.
int text_width(std::string_view text, int size, bool bold = false);

}  // namespace resnetc
