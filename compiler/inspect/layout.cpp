#include "compiler/inspect/layout.h"

#include <algorithm>

#include "compiler/inspect/panel_layout.h"

namespace resnetc {
namespace {

constexpr int panel_gap = 30, column_gap = 40, drawing_gap = 60;
constexpr int heading_height = 30, column_top = 34;  // column_top: room for the connection from the column before
constexpr double page_shape = 1.5;                   // width to height

// One graph's panels, laid out but not placed.
struct Chart {
  const GraphToDraw* what;
  std::vector<Panel> panels;
  std::vector<PanelLayout> layouts;
  Lanes lanes;

  Chart(const Chart&) = delete;  // the layouts refer to the panels
  explicit Chart(const GraphToDraw& graph) : what(&graph), panels(outline(*graph.graph)) {
    int left_tracks = 0;
    std::vector<int> widths;
    layouts.reserve(panels.size());
    for (const Panel& panel : panels) {
      layouts.emplace_back(*graph.graph, panel);
      layouts.back().widen(widths);
      left_tracks = std::max(left_tracks, layouts.back().left_tracks());
    }
    lanes = make_lanes(std::move(widths), left_tracks);
  }

  // The first panel of each column, if no column may be higher than that.
  std::vector<size_t> columns(int height) const {
    std::vector<size_t> first;
    int y = height;
    for (size_t p = 0; p < layouts.size(); p++) {
      if (y + panel_gap + layouts[p].height() > height) {
        first.push_back(p);
        y = layouts[p].height();
      } else {
        y += panel_gap + layouts[p].height();
      }
    }
    return first;
  }

  int highest_panel() const {
    int result = 0;
    for (const PanelLayout& panel : layouts) result = std::max(result, panel.height());
    return result;
  }

  int column_width(size_t first, size_t end) const {
    int result = 0;
    for (size_t p = first; p < end; p++) result = std::max(result, layouts[p].width(lanes));
    return result;
  }

  int total_width(const std::vector<size_t>& first) const {
    int result = column_gap * (static_cast<int>(first.size()) - 1);
    for (size_t c = 0; c < first.size(); c++)
      result += column_width(first[c], c + 1 < first.size() ? first[c + 1] : layouts.size());
    return std::max(result, text_width(what->heading, heading_size, true));
  }

  const TensorType& exit_type(size_t panel) const { return (*what->graph)[panels[panel].items.back().value].type; }
};

Drawing place(const Chart& chart, int x, int height) {
  Drawing drawing;
  drawing.heading = chart.what->heading;
  const std::vector<size_t> first = chart.columns(height);
  const int left = x, top = heading_height + column_top;
  Point exit;            // of the panel before
  int panel_bottom = 0;  // of the panel before
  for (size_t c = 0; c < first.size(); c++) {
    const size_t end = c + 1 < first.size() ? first[c + 1] : chart.layouts.size();
    int y = top;
    for (size_t p = first[c]; p < end; p++) {
      const Point entry{x + chart.lanes.center(), y + entry_height};
      if (p > 0) {
        std::vector<Point> points = {exit};
        if (p == first[c]) {  // up to the top of the next column
          const int between = x - column_gap / 2, above = top - column_top + 10, below = panel_bottom + 14;
          points.insert(points.end(), {{exit.x, below}, {between, below}, {between, above}, {entry.x, above}});
        } else if (exit.x != entry.x) {
          points.insert(points.end(), {{exit.x, y - panel_gap / 2}, {entry.x, y - panel_gap / 2}});
        }
        points.push_back(entry);
        drawing.connections.push_back({std::move(points), false});
        drawing.shapes.push_back({{entry.x + 6, y - 10}, shape_text(chart.exit_type(p - 1))});
      }
      exit = chart.layouts[p].place({x, y}, chart.lanes, drawing);
      panel_bottom = y + chart.layouts[p].height();
      drawing.at.height = std::max(drawing.at.height, panel_bottom);
      y = panel_bottom + panel_gap;
    }
    x += chart.column_width(first[c], end) + column_gap;
  }
  if (!chart.panels.empty() && chart.panels.back().items.back().is_output) {
    drawing.connections.push_back({{exit, {exit.x, panel_bottom + panel_gap - 4}}, true});
    drawing.shapes.push_back({{exit.x + 6, panel_bottom + 18}, shape_text(chart.exit_type(chart.panels.size() - 1))});
    drawing.at.height = std::max(drawing.at.height, panel_bottom + panel_gap);
  }
  drawing.at.x = left;
  drawing.at.width = std::max(x - column_gap - left, chart.total_width(first));
  return drawing;
}

// The least height with as many columns.
int balanced(const Chart& chart, int height) {
  const size_t columns = chart.columns(height).size();
  int too_low = chart.highest_panel() - 1;
  while (too_low + 1 < height) {
    const int middle = too_low + (height - too_low) / 2;
    (chart.columns(middle).size() == columns ? height : too_low) = middle;
  }
  return height;
}

}  // namespace

std::vector<Drawing> lay_out(const std::vector<GraphToDraw>& graphs) {
  std::vector<Chart> charts(graphs.begin(), graphs.end());
  int least = 0, most = 0;
  for (const Chart& chart : charts) {
    int sum = 0;
    for (const PanelLayout& panel : chart.layouts) sum += panel.height() + panel_gap;
    least = std::max(least, chart.highest_panel());
    most = std::max(most, sum);
  }
  int height = least;
  double best = 1e18;
  for (int candidate = least; candidate <= most; candidate += std::max(1, (most - least) / 100)) {
    int width = 0;
    for (const Chart& chart : charts) width += chart.total_width(chart.columns(candidate)) + drawing_gap;
    const double cost = std::max(width / page_shape, static_cast<double>(candidate));
    if (cost >= best) continue;
    best = cost;
    height = candidate;
  }
  std::vector<Drawing> drawings;
  int x = 0;
  for (const Chart& chart : charts) {
    drawings.push_back(place(chart, x, balanced(chart, height)));
    x = drawings.back().at.right() + drawing_gap;
  }
  return drawings;
}

}  // namespace resnetc
