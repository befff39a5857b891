// resnetc inspect: what a model is, before and after the passes, for people and for programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/inspect/draw.h"
#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/program.h"

namespace resnetc {

// A graph at one point of the way.
struct InspectedGraph {
  std::string pass;  // the last that has run; "none": as written
  Graph graph;
};

// What does not depend on that point.
struct Inspection {
  const Model& model;
  Program program;  // after all passes
  MemoryPlan plan;  // on the CPU or the device that it is for
};

// "none", and the names of the passes in order.
std::vector<std::string> inspectable_passes();

// program: of the model's graph after all passes.
Inspection inspect(const Model& model, Program program, const Machine& machine);
InspectedGraph graph_after(const Model& model, const std::string& pass, const PassTarget& target = {});

// A summary and a table of the nodes as comments, and the IR's text: all of it is text that parse() reads.
std::string inspect_text(const Inspection& inspection, const InspectedGraph& graph);
// Counts, kernels, the memory plan and, as "model", the graph as a model file.
std::string inspect_json(const Inspection& inspection, const InspectedGraph& graph);
// Several graphs stand side by side.
std::string inspect_svg(const Inspection& inspection, const std::vector<InspectedGraph>& graphs);

}  // namespace resnetc
