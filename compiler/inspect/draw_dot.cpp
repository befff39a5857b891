#include <fmt/format.h>

#include "compiler/inspect/draw.h"

namespace resnetc {
namespace {

// A string of dot. Only quotes and backslashes need care; a line break is "\n".
std::string dot_string(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return result + '"';
}

std::string label_of(const Graph& graph, Value value) {
  const std::string what = steps_text(graph, value);
  return what == graph[value].name ? what : what + "\n" + graph[value].name;
}

}  // namespace

std::string draw_dot(const Graph& graph) {
  const std::vector<Panel> panels = outline(graph);
  std::string dot = fmt::format(
      "digraph {} {{\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n"
      "  edge [fontname=\"sans-serif\", fontsize=9, color=\"#6e7781\"];\n",
      dot_string(graph.name));
  std::string edges;
  std::string entry;  // the node that leaves the panel before
  Value entry_value = -1;
  const auto edge = [&](const std::string& from, const std::string& to, Value value) {
    edges += fmt::format("  {} -> {} [label={}];\n", from, to, dot_string(" " + shape_text(graph[value].type)));
  };
  for (size_t p = 0; p < panels.size(); p++) {
    const Panel& panel = panels[p];
    const std::string title = panel.repeats > 1 ? fmt::format("{}  (× {})", panel.title, panel.repeats) : panel.title;
    dot += fmt::format(
        "  subgraph cluster_{} {{\n    label={}; labeljust=l; style=\"rounded,filled\"; color=\"#d0d7de\"; "
        "fillcolor=\"#f6f8fa\"; fontname=\"sans-serif\";{}\n",
        p, dot_string(title), panel.repeats > 1 ? " peripheries=2;" : "");
    const auto name_of = [&](int item) { return dot_string(graph[panel.items[static_cast<size_t>(item)].value].name); };
    for (size_t i = 0; i < panel.items.size(); i++) {
      const OutlineItem& item = panel.items[i];
      const std::string name = name_of(static_cast<int>(i));
      const Colours colours = colours_of(op_name(graph[item.value].op));
      dot += fmt::format("    {} [label={}, fillcolor=\"{}\", color=\"{}\"{}];\n", name,
                         dot_string(label_of(graph, item.value)), colours.fill, colours.line,
                         item.is_output ? ", penwidth=2" : "");
      for (int input : item.inputs) {
        if (input != panel_entry) {
          edge(name_of(input), name, panel.items[static_cast<size_t>(input)].value);
        } else {
          edge(entry, name, entry_value);
        }
      }
    }
    dot += "  }\n";
    entry = name_of(static_cast<int>(panel.items.size()) - 1);
    entry_value = panel.items.back().value;
  }
  return dot + edges + "}\n";
}

}  // namespace resnetc
