#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "compiler/inspect/draw.h"
#include "ir/text.h"

namespace resnetc {
namespace {

constexpr int margin = 28, title_text = 22, subtitle_text = 13, legend_text = 11, legend_row = 24;
constexpr int corner = 6;

constexpr const char* style = R"(<style>
  text { font-family: "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #24292f }
  .panel { fill: #f6f8fa; stroke: #d0d7de }
  .line { fill: none; stroke: #6e7781; stroke-width: 1.4 }
  .shape, .name, .detail { fill: #57606a }
  .shape, .name { paint-order: stroke; stroke: #f6f8fa; stroke-width: 3px; stroke-linejoin: round }
  .name { font-size: 11px }
  .shape { font-size: 10px }
  .detail { font-size: 10px }
  .what { font-size: 12px; font-weight: bold }
  .title { font-size: 12px; font-weight: bold; fill: #57606a }
  .middle { text-anchor: middle }
  .end { text-anchor: end }
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto">
  <path d="M0,0.8 L8,4 L0,7.2 z" fill="#6e7781"/></marker></defs>
)";

std::string text(Point at, std::string_view classes, std::string_view content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>\n", at.x, at.y, classes, xml_escaped(content));
}

// A rectangle with round corners on its left, its right or both.
std::string cell_path(const Rectangle& r, bool left, bool right) {
  const int a = left ? corner : 0, b = right ? corner : 0;
  return fmt::format("M{},{} H{} q{},0 {},{} V{} q0,{} -{},{} H{} q-{},0 -{},-{} V{} q0,-{} {},-{} z", r.x + a, r.y,
                     r.right() - b, b, b, b, r.bottom() - b, b, b, b, r.x + a, a, a, a, r.y + a, a, a, a);
}

std::string box_svg(const Box& box, const Graph& graph) {
  std::string svg = fmt::format("<g><title>{}</title>\n", xml_escaped(print_node(graph, box.value)));
  for (size_t i = 0; i < box.cells.size(); i++) {
    const Cell& cell = box.cells[i];
    const Colours colours = colours_of(cell.step.op);
    const Rectangle at{cell.x, box.at.y, cell.width, box.at.height};
    svg += fmt::format("<path d=\"{}\" fill=\"{}\" stroke=\"{}\"/>\n", cell_path(at, i == 0, i + 1 == box.cells.size()),
                       colours.fill, colours.line);
    const bool has_detail = !cell.step.detail.empty();
    svg += text({at.center_x(), at.center_y() + (has_detail ? -2 : 4)}, "what middle", cell.step.what);
    if (has_detail) svg += text({at.center_x(), at.center_y() + 12}, "detail middle", cell.step.detail);
  }
  return svg + text({box.at.x + 3, box.at.y - 5}, "name", box.name) + "</g>\n";
}

std::string connection_svg(const Connection& connection) {
  const std::vector<Point>& points = connection.points;
  std::string path = fmt::format("M{},{}", points[0].x, points[0].y);
  for (size_t i = 1; i < points.size(); i++) {
    const Point here = points[i];
    if (i + 1 == points.size()) {
      path += fmt::format(" L{},{}", here.x, here.y);
      break;
    }
    // The corner is cut where the line is this far from it.
    const auto towards = [&](Point other) {
      const int dx = other.x - here.x, dy = other.y - here.y, length = std::max(1, std::abs(dx) + std::abs(dy));
      const int cut = std::min(corner, length / 2);
      return Point{here.x + dx * cut / length, here.y + dy * cut / length};
    };
    const Point before = towards(points[i - 1]), after = towards(points[i + 1]);
    path += fmt::format(" L{},{} Q{},{} {},{}", before.x, before.y, here.x, here.y, after.x, after.y);
  }
  return fmt::format("<path class=\"line\" d=\"{}\"{}/>\n", path,
                     connection.has_arrow ? " marker-end=\"url(#arrow)\"" : "");
}

std::string panel_svg(const PanelBox& panel) {
  const Rectangle& at = panel.at;
  std::string svg;
  const auto sheet = [&](int shift) {
    svg += fmt::format("<rect class=\"panel\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n", at.x + shift,
                       at.y + shift, at.width, at.height);
  };
  if (panel.repeats > 2) sheet(8);
  if (panel.repeats > 1) sheet(4);
  sheet(0);
  if (!panel.title.empty()) svg += text({at.x + 12, at.y + 16}, "title", panel.title);
  if (panel.repeats == 1) return svg;
  const std::string badge = fmt::format("× {}", panel.repeats);
  const int width = text_width(badge, 13, true) + 14;
  svg += fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"20\" rx=\"10\" fill=\"#57606a\"/>\n"
      "<text x=\"{}\" y=\"{}\" class=\"middle\" style=\"font-size: 13px; font-weight: bold; fill: #fff\">{}</text>\n",
      at.right() - width - 8, at.y - 9, width, at.right() - width / 2 - 8, at.y + 6, badge);
  return svg;
}

std::string drawing_svg(const Drawing& drawing, const Graph& graph) {
  std::string svg;
  if (!drawing.heading.empty())
    svg += fmt::format("<text x=\"{}\" y=\"18\" style=\"font-size: {}px; font-weight: bold\">{}</text>\n", drawing.at.x,
                       heading_size, xml_escaped(drawing.heading));
  for (const PanelBox& panel : drawing.panels) svg += panel_svg(panel);
  for (const Connection& connection : drawing.connections) svg += connection_svg(connection);
  for (const Box& box : drawing.boxes) svg += box_svg(box, graph);
  for (const Caption& shape : drawing.shapes) svg += text(shape.at, "shape", shape.text);
  for (const Caption& output : drawing.outputs) svg += text(output.at, "shape end", output.text);
  return svg;
}

struct LegendEntry {
  std::string text;
  Colours colours;
  std::vector<std::string> ops;
};

// Ops of one colour share an entry.
void add_to_legend(std::vector<LegendEntry>& entries, const std::string& op) {
  const Colours colours = colours_of(op);
  const auto same = std::find_if(entries.begin(), entries.end(), [&](const LegendEntry& entry) {
    return std::string_view(entry.colours.fill) == colours.fill;
  });
  if (same == entries.end()) {
    entries.push_back({op, colours, {op}});
  } else if (std::find(same->ops.begin(), same->ops.end(), op) == same->ops.end()) {
    same->text += ", " + op;
    same->ops.push_back(op);
  }
}

// A swatch and a word for every kind of op that is drawn, wrapped at the page's width.
struct Legend {
  std::string svg;
  int height = 0;
};

Legend make_legend(const std::vector<Drawing>& drawings, int width) {
  std::vector<LegendEntry> entries;
  bool folds = false;
  for (const Drawing& drawing : drawings) {
    for (const Box& box : drawing.boxes)
      for (const Cell& cell : box.cells) add_to_legend(entries, cell.step.op);
    for (const PanelBox& panel : drawing.panels) folds |= panel.repeats > 1;
  }
  if (folds) entries.push_back({"× n: so many equal blocks in a row", {"#57606a", "#57606a"}, {}});
  Legend legend;
  int x = 0, y = 0;
  for (const LegendEntry& entry : entries) {
    const int entry_width = 22 + text_width(entry.text, legend_text) + 18;
    if (x > 0 && x + entry_width > width) {
      x = 0;
      y += legend_row;
    }
    legend.svg += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"16\" height=\"12\" rx=\"3\" fill=\"{}\" stroke=\"{}\"/>\n"
        "<text x=\"{}\" y=\"{}\" style=\"font-size: {}px\">{}</text>\n",
        x, y, entry.colours.fill, entry.colours.line, x + 22, y + 10, legend_text, xml_escaped(entry.text));
    x += entry_width;
  }
  legend.height = y + legend_row;
  return legend;
}

}  // namespace

Colours colours_of(std::string_view op) {
  if (op == Conv2d::op_name || op == Project::op_name) return {"#cfe3fb", "#5b8fd6"};
  if (op == BatchNorm::op_name || op == ScaleShift::op_name) return {"#e5dcf7", "#9a7fd1"};
  if (op == Relu::op_name) return {"#d3efd6", "#67b077"};
  if (op == Add::op_name) return {"#ffe2b8", "#e0a23c"};
  if (op == Dense::op_name) return {"#fbd3d6", "#d9707a"};
  if (op.ends_with("pool")) return {"#c9ecec", "#4aa8a8"};
  return {"#e8eaed", "#9aa0a6"};
}

std::string draw_svg(const std::string& title, const std::string& subtitle, const std::vector<GraphToDraw>& graphs) {
  const std::vector<Drawing> drawings = lay_out(graphs);
  int width = std::max(text_width(title, title_text, true), text_width(subtitle, subtitle_text)), height = 0;
  for (const Drawing& drawing : drawings) {
    width = std::max(width, drawing.at.right() + 8);
    height = std::max(height, drawing.at.bottom());
  }
  const Legend legend = make_legend(drawings, width);
  const int header = 58, top = margin + header + legend.height;
  const int page_width = width + 2 * margin, page_height = top + height + margin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      page_width, page_height, style);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" style=\"font-size: {}px; font-weight: bold\">{}</text>\n", margin,
                     margin + 18, title_text, xml_escaped(title));
  svg += fmt::format("<text x=\"{}\" y=\"{}\" style=\"font-size: {}px\">{}</text>\n", margin, margin + 40,
                     subtitle_text, xml_escaped(subtitle));
  svg += fmt::format("<g transform=\"translate({},{})\">\n{}</g>\n", margin, margin + header, legend.svg);
  svg += fmt::format("<g transform=\"translate({},{})\">\n", margin, top);
  for (size_t d = 0; d < drawings.size(); d++) svg += drawing_svg(drawings[d], *graphs[d].graph);
  return svg + "</g>\n</svg>\n";
}

std::string xml_escaped(std::string_view text) {
  std::string result;
  const auto bytes = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned char c = bytes(i);
    size_t length = c < 0x80                ? 1
                    : c >= 0xc2 && c < 0xe0 ? 2
                    : c >= 0xe0 && c < 0xf0 ? 3
                    : c >= 0xf0 && c < 0xf5 ? 4
                                            : 0;
    uint32_t code = length <= 1 ? c : c & (0x7fu >> length);
    for (size_t k = 1; k < length; k++) {
      if (i + k >= text.size() || (bytes(i + k) & 0xc0) != 0x80) {
        length = 0;
        break;
      }
      code = code << 6 | (bytes(i + k) & 0x3fu);
    }
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool is_xml = length > 0 && code >= least[length] && (code >= 0x20 || code == '\t' || code == '\n') &&
                        !(code >= 0xd800 && code <= 0xdfff) && code != 0xfffe && code != 0xffff && code <= 0x10ffff;
    if (!is_xml) {
      result += "\xef\xbf\xbd";
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else {
      result += text.substr(i, length);
    }
    i += std::max<size_t>(length, 1);
  }
  return result;
}

}  // namespace resnetc
