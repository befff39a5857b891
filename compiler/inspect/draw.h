// Pictures of graphs: SVG laid out here, and Graphviz's dot.
#pragma once

#include <string>
#include <vector>

#include "compiler/inspect/layout.h"

namespace resnetc {

// A page with the graphs side by side, a title, a subtitle and a legend. A box's tooltip is its node's line of IR text.
std::string draw_svg(const std::string& title, const std::string& subtitle, const std::vector<GraphToDraw>& graphs);

// Panels as clusters, in the order of the graph.
std::string draw_dot(const Graph& graph);

// Fill and outline of an op's boxes: "#cfe3fb".
struct Colours {
  const char* fill;
  const char* line;
};
Colours colours_of(std::string_view op);

// Text of any bytes as XML character data or attribute value. What XML cannot say becomes U+FFFD.
std::string xml_escaped(std::string_view text);

}  // namespace resnetc
