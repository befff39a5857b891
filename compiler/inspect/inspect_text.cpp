#include <fmt/format.h>

#include <algorithm>

#include "compiler/inspect/inspect.h"
#include "compiler/inspect/recognise.h"
#include "compiler/passes.h"
#include "ir/text.h"

namespace resnetc {
namespace {

constexpr size_t longest_name = 24, longest_operation = 64;

struct Row {
  std::string name, operation, output, parameters, macs;
  bool is_panel = false;
};

std::string padded(std::string text, size_t width, bool on_left = false) {
  const size_t count = character_count(text);
  if (count >= width) return text;
  return on_left ? std::string(width - count, ' ') + text : text + std::string(width - count, ' ');
}

std::string count_or_blank(int64_t count) {
  return count == 0 ? "" : short_number(count);
}

std::vector<Row> table_rows(const Graph& graph) {
  std::vector<Row> rows;
  const std::vector<int64_t> parameters = parameter_counts(graph);
  for (const Panel& panel : outline(graph)) {
    const std::string title = panel.title.empty() ? "…" : panel.title;
    rows.push_back({panel.repeats > 1 ? fmt::format("{}  × {}", title, panel.repeats) : title, "", "", "", "", true});
    for (const OutlineItem& item : panel.items) {
      const Node& node = graph[item.value];
      const size_t prefix = node.name.starts_with(panel.prefix) ? panel.prefix.size() : 0;
      rows.push_back({"  " + shortened(node.name.substr(prefix), longest_name),
                      shortened(steps_text(graph, item.value), longest_operation), shape_text(node.type),
                      count_or_blank(parameters[static_cast<size_t>(item.value)]),
                      count_or_blank(mac_count(graph, item.value))});
    }
  }
  rows.push_back({"all", "", "", short_number(parameter_count(graph)), short_number(mac_count(graph)), true});
  return rows;
}

std::string table(const Graph& graph) {
  std::vector<Row> rows = table_rows(graph);
  rows.insert(rows.begin(), {"", "", "output", "parameters", "MACs"});
  size_t widths[5] = {};
  const auto columns = [](Row& row) {
    return std::vector{&row.name, &row.operation, &row.output, &row.parameters, &row.macs};
  };
  for (Row& row : rows) {
    const auto cells = columns(row);
    for (size_t c = row.is_panel ? 1 : 0; c < 5; c++) widths[c] = std::max(widths[c], character_count(*cells[c]));
  }
  std::string text;
  for (Row& row : rows) {
    std::string line = "#";
    const auto cells = columns(row);
    for (size_t c = 0; c < 5; c++) {
      if (row.is_panel && c == 1) {  // its name may run into the operations' column
        const size_t used = std::max(widths[0], character_count(row.name));
        line += std::string(2 + widths[1] - std::min(widths[1], used - widths[0]), ' ');
        continue;
      }
      line += (c == 0 ? " " : "  ") + padded(*cells[c], widths[c], c >= 2);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string kernel_lines(const Program& program) {
  std::vector<int> calls(program.kernels.size(), 0);
  for (const Step& step : program.steps) calls[static_cast<size_t>(step.kernel)]++;
  std::string text;
  for (size_t k = 0; k < calls.size(); k++)
    text += fmt::format("# {:>5} × {}: {}\n", calls[k], to_string(program.kernels[k].key),
                        to_string(program.kernels[k].choice));
  return text;
}

}  // namespace

std::string inspect_text(const Inspection& inspection, const InspectedGraph& graph) {
  const Graph& written = inspection.model.graph;
  const Program& program = inspection.program;
  const auto input = std::find_if(written.nodes.begin(), written.nodes.end(),
                                  [](const Node& node) { return std::holds_alternative<Input>(node.op); });
  const int64_t parameters = parameter_count(written);
  const auto weights =
      static_cast<size_t>(std::count_if(graph.graph.nodes.begin(), graph.graph.nodes.end(),
                                        [](const Node& node) { return std::holds_alternative<Weight>(node.op); }));
  std::string text = fmt::format("# {}\n#\n", inspection.model.name);
  const auto line = [&](std::string_view what, const std::string& how) {
    text += fmt::format("# {:<12}{}\n", what, how);
  };
  if (const std::string family = recognise_resnet(written); !family.empty()) line("family", family);
  line("input", shape_text(input->type) + " (height, width, channels)");
  line("output", inspection.model.has_head ? shape_text(program.output) + " classes" : shape_text(program.output));
  line("parameters", fmt::format("{} ({}), {} as float32", parameters, short_number(parameters),
                                 short_bytes(static_cast<uint64_t>(parameters) * sizeof(float))));
  line("MACs", fmt::format("{} an image ({})", mac_count(written), short_number(mac_count(written))));
  line("kernels", fmt::format("{}, called {} times an image", program.kernels.size(), program.steps.size()));
  line("memory", fmt::format("{} an image; {} are in use at once", short_bytes(inspection.plan.arena_bytes),
                             short_bytes(inspection.plan.largest_live_bytes)));
  if (inspection.plan.has_tail())
    line("tail", fmt::format("from step {} on more images go through together", inspection.plan.tail_step));
  const std::string when = graph.pass == "none" ? "as written" : "after " + graph.pass;
  text +=
      fmt::format("#\n# The graph {}: {} nodes and {} weights\n#\n", when, graph.graph.nodes.size() - weights, weights);
  text += table(graph.graph) + "#\n# Kernels, after all passes:\n" + kernel_lines(program) + "#\n" + print(graph.graph);
  if (graph.pass == passes[std::size(passes) - 1].name) text += print_memory_plan(program, inspection.plan);
  return text;
}

}  // namespace resnetc
