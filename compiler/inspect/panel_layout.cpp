#include "compiler/inspect/panel_layout.h"

#include <algorithm>
#include <map>

namespace resnetc {
namespace {

constexpr int box_height = 36, row_gap = 26, lane_gap = 40;
constexpr int least_lane_width = 210, least_branch_width = 130;  // of the first lane, of others
constexpr int widest_name = 90;                                  // that a lane makes room for
constexpr int first_row = 46;                                    // from the panel's top
constexpr int track_gap = 10;                                    // between connections that run side by side
constexpr int least_track = 14;                                  // from the first of them to the lane
constexpr int stub = 7;                                          // of a connection before it turns

int natural_width(const NodeStep& step) {
  return std::max(text_width(step.what, what_size, true), text_width(step.detail, detail_size)) + 16;
}

std::string fitted(const std::string& text, int width, int size, bool bold = false) {
  size_t count = character_count(text);
  std::string result = text;
  while (count > 3 && text_width(result, size, bold) > width) result = shortened(text, --count);
  return result;
}

}  // namespace

PanelLayout::PanelLayout(const Graph& graph, const Panel& panel)
    : graph_(graph), panel_(panel), grid_(make_grid(panel)) {
  for (size_t i = 0; i < panel.items.size(); i++)
    for (int input : panel.items[i].inputs) routes_.push_back(route(input, static_cast<int>(i)));
  choose_tracks();
}

Route PanelLayout::route(int from, int to) const {
  const int source = grid_.lane_of(from), target = grid_.lane_of(to);
  const int above = grid_.row_of(from), below = grid_.row_of(to);
  const std::vector<int>& inputs = panel_.items[static_cast<size_t>(to)].inputs;
  const bool is_first =
      std::none_of(inputs.begin(), inputs.end(), [&](int input) { return grid_.lane_of(input) == target; });
  Route route{from, to, Route::roundabout, source == 0 && target == 0};
  const bool target_is_free = grid_.is_free(target, above + 1, below - 1);
  if (source == target && target_is_free) route.kind = Route::straight;
  if (source < target && is_first && target_is_free) route.kind = Route::fork;
  if (source == target + 1 && grid_.is_free(source, above + 1, below)) route.kind = Route::join;
  return route;
}

void PanelLayout::choose_tracks() {
  std::map<std::pair<int, bool>, std::vector<int>> busy_until;  // by lane and side: the row where each track ends
  for (Route& route : routes_) {
    if (route.kind != Route::roundabout) continue;
    const int lane = grid_.lane_of(route.to), start = grid_.row_of(route.from), end = grid_.row_of(route.to);
    std::vector<int>& tracks = busy_until[{lane, route.on_left}];
    const auto free = std::find_if(tracks.begin(), tracks.end(), [&](int row) { return row <= start; });
    route.track = static_cast<int>(free - tracks.begin());
    if (free == tracks.end()) tracks.push_back(end);
    tracks[static_cast<size_t>(route.track)] = end;
    if (route.on_left) left_tracks_ = std::max(left_tracks_, route.track + 1);
    if (!route.on_left) has_right_track_ |= lane + 1 == grid_.lanes();
  }
}

std::string PanelLayout::short_name(Value value) const {
  const std::string& name = graph_[value].name;
  if (name == op_name(graph_[value].op)) return "";
  return name.substr(name.starts_with(panel_.prefix) ? panel_.prefix.size() : 0);
}

void PanelLayout::widen(std::vector<int>& lane_widths) const {
  lane_widths.resize(std::max(lane_widths.size(), static_cast<size_t>(grid_.lanes())), least_branch_width);
  lane_widths[0] = std::max(lane_widths[0], least_lane_width);
  for (size_t i = 0; i < panel_.items.size(); i++) {
    const Value value = panel_.items[i].value;
    int cells = 0;
    for (const NodeStep& step : steps_of(graph_, value)) cells += natural_width(step);
    const int name = std::min(text_width(short_name(value), name_size), widest_name);
    int& widest = lane_widths[static_cast<size_t>(grid_.lane[i])];
    widest = std::max({widest, cells, 2 * name + 24});
  }
}

int PanelLayout::width(const Lanes& lanes) const {
  const auto last = static_cast<size_t>(grid_.lanes() - 1);
  return lanes.starts[last] + lanes.widths[last] + panel_padding + (has_right_track_ ? lane_gap / 2 : 0);
}

int PanelLayout::height() const {
  return first_row + grid_.rows * (box_height + row_gap) - row_gap + panel_padding;
}

Point PanelLayout::place(Point at, const Lanes& lanes, Drawing& drawing) const {
  const int title_width = lanes.center() - panel_padding - 8;
  drawing.panels.push_back(
      {{at.x, at.y, width(lanes), height()}, fitted(panel_.title, title_width, title_size, true), panel_.repeats});
  std::vector<Rectangle> boxes;
  for (size_t i = 0; i < panel_.items.size(); i++) {
    const auto lane = static_cast<size_t>(grid_.lane[i]);
    const int y = at.y + first_row + grid_.row[i] * (box_height + row_gap);
    boxes.push_back({at.x + lanes.starts[lane], y, lanes.widths[lane], box_height});
    drawing.boxes.push_back(box(panel_.items[i].value, boxes.back()));
    if (panel_.items[i].is_output) drawing.outputs.push_back({{boxes.back().right(), y - 5}, "output"});
  }
  const Rectangle entry{at.x + lanes.center(), at.y, 0, entry_height};
  for (const Route& r : routes_)
    connect(r, r.from == panel_entry ? entry : boxes[static_cast<size_t>(r.from)], boxes[static_cast<size_t>(r.to)],
            drawing);
  return {boxes.back().center_x(), boxes.back().bottom()};
}

Box PanelLayout::box(Value value, const Rectangle& at) const {
  Box result{at, {}, fitted(short_name(value), at.width / 2 - 12, name_size), value};
  std::vector<NodeStep> steps = steps_of(graph_, value);
  int spare = at.width, x = at.x;
  for (const NodeStep& step : steps) spare -= natural_width(step);
  for (NodeStep& step : steps) {
    const int width = natural_width(step) + (x == at.x ? spare : 0);
    result.cells.push_back({std::move(step), x, width});
    x += width;
  }
  return result;
}

void PanelLayout::connect(const Route& route, const Rectangle& from, const Rectangle& to, Drawing& drawing) const {
  const Point start{from.center_x(), from.bottom()};
  std::vector<Point> points = {start};
  if (route.kind == Route::straight) {
    points.push_back({to.center_x(), to.y});
  } else if (route.kind == Route::fork) {
    points.insert(points.end(), {{start.x, start.y + stub}, {to.center_x(), start.y + stub}, {to.center_x(), to.y}});
  } else if (route.kind == Route::join) {
    points.insert(points.end(), {{start.x, to.center_y()}, {to.right(), to.center_y()}});
  } else {
    const int x = route.on_left ? to.x - least_track - route.track * track_gap
                                : to.right() + least_track + route.track % 3 * track_gap;
    const int side = route.on_left ? to.x : to.right();
    points.insert(points.end(),
                  {{start.x, start.y + stub}, {x, start.y + stub}, {x, to.center_y()}, {side, to.center_y()}});
  }
  drawing.connections.push_back({std::move(points), true});
  // What comes in is said between the panels.
  if (route.from == panel_entry || (route.kind != Route::straight && route.kind != Route::join)) return;
  const TensorType& type = graph_[panel_.items[static_cast<size_t>(route.from)].value].type;
  drawing.shapes.push_back({{start.x + 6, start.y + row_gap - 7}, shape_text(type)});
}

Lanes make_lanes(std::vector<int> widths, int left_tracks) {
  Lanes lanes{{}, std::move(widths)};
  int x = panel_padding + (left_tracks > 0 ? least_track - track_gap + left_tracks * track_gap : 0);
  for (int width : lanes.widths) {
    lanes.starts.push_back(x);
    x += width + lane_gap;
  }
  return lanes;
}

}  // namespace resnetc
