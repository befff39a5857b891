#include "compiler/inspect/inspect.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "compiler/graph_json.h"
#include "compiler/inspect/outline.h"
#include "compiler/passes.h"
#include "ir/text.h"
#include "tests/compiler/front_end.h"
#include "tests/support/random_graph.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

Model model_named(const std::string& name, const ModelOptions& options = {}) {
  return read_model(models_folder() / (name + ".json"), options);
}

Machine fixed_machine() {
  return machine_for("x86-64-linux-avx2", 2);
}

std::string last_pass() {
  return inspectable_passes().back();
}

// "layer1.0 – 1 ×2" of each panel.
std::vector<std::string> titles(const Graph& graph) {
  std::vector<std::string> result;
  for (const Panel& panel : outline(graph))
    result.push_back(panel.title + (panel.repeats > 1 ? " ×" + std::to_string(panel.repeats) : ""));
  return result;
}

// Names that say nothing.
Graph anonymous(Graph graph) {
  for (size_t v = 0; v < graph.nodes.size(); v++) graph.nodes[v].name = "n" + std::to_string(v);
  return graph;
}

bool overlap(const Rectangle& a, const Rectangle& b) {
  return a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom();
}

bool contains(const Rectangle& outer, const Rectangle& inner) {
  return outer.x <= inner.x && outer.y <= inner.y && inner.right() <= outer.right() && inner.bottom() <= outer.bottom();
}

// Of a segment that is vertical or horizontal; it has no width.
Rectangle around(Point a, Point b) {
  return {std::min(a.x, b.x), std::min(a.y, b.y), std::abs(a.x - b.x), std::abs(a.y - b.y)};
}

Rectangle text_at(Point at, const std::string& text, int size) {
  return {at.x, at.y - size * 3 / 4, text_width(text, size), size * 3 / 4};
}

// Everything that must hold of any graph: no box covers another, all lie in panels, texts fit, lines end at boxes.
void check_drawing(const Drawing& drawing) {
  for (size_t i = 0; i < drawing.boxes.size(); i++) {
    const Box& box = drawing.boxes[i];
    CAPTURE(box.name);
    int inside = 0;
    for (const PanelBox& panel : drawing.panels) inside += contains(panel.at, box.at);
    CHECK(inside == 1);
    CHECK(contains(drawing.at, box.at));
    for (size_t j = 0; j < i; j++) CHECK_FALSE(overlap(box.at, drawing.boxes[j].at));
    int x = box.at.x;
    for (const Cell& cell : box.cells) {
      CHECK(cell.x == x);
      CHECK(text_width(cell.step.what, what_size, true) < cell.width);
      CHECK(text_width(cell.step.detail, detail_size) < cell.width);
      x += cell.width;
    }
    CHECK(x == box.at.right());
    CHECK(text_width(box.name, name_size) < box.at.width / 2);
  }
  for (size_t i = 0; i < drawing.panels.size(); i++)
    for (size_t j = 0; j < i; j++) CHECK_FALSE(overlap(drawing.panels[i].at, drawing.panels[j].at));
  for (const Connection& connection : drawing.connections)
    for (size_t p = 1; p < connection.points.size(); p++) {
      const Point a = connection.points[p - 1], b = connection.points[p];
      CHECK((a.x == b.x || a.y == b.y));
    }
}

// What holds of nets that people draw, too: no line runs through a box or a text, no text over another.
void check_neat(const Drawing& drawing) {
  std::vector<Rectangle> texts;
  for (const Box& box : drawing.boxes) texts.push_back(text_at({box.at.x + 3, box.at.y - 5}, box.name, name_size));
  for (const Caption& shape : drawing.shapes) texts.push_back(text_at(shape.at, shape.text, detail_size));
  for (const PanelBox& panel : drawing.panels)
    texts.push_back(text_at({panel.at.x + 12, panel.at.y + 16}, panel.title, title_size));
  for (size_t i = 0; i < texts.size(); i++) {
    for (size_t j = 0; j < i; j++) CHECK_FALSE(overlap(texts[i], texts[j]));
    for (const Box& box : drawing.boxes) CHECK_FALSE(overlap(texts[i], box.at));
  }
  for (const Connection& connection : drawing.connections)
    for (size_t p = 1; p < connection.points.size(); p++) {
      const Rectangle line = around(connection.points[p - 1], connection.points[p]);
      for (const Box& box : drawing.boxes) CHECK_FALSE(overlap(line, box.at));
      for (const Rectangle& text : texts) CHECK_FALSE(overlap(line, text));
    }
}

std::string read_golden(const std::filesystem::path& path) {
  return std::filesystem::exists(path) ? read_text_file(path, 1) : "";
}

void check_golden(const std::string& name, const std::string& text) {
  CAPTURE(name);
  const auto path = std::filesystem::path(RESNETC_SOURCE_DIR) / "tests" / "data" / "inspect" / name;
  if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path, std::ios::binary) << text;
  CHECK_MESSAGE(read_golden(path) == text, "read the difference, then run with UPDATE_GOLDEN=1");
}

}  // namespace

TEST_CASE("inspect: a graph's panels are its stem, blocks and head; equal blocks in a row are one") {
  const std::vector<std::string> resnet18 = {"stem",     "layer1.0 – 1 ×2", "layer2.0", "layer2.1", "layer3.0",
                                             "layer3.1", "layer4.0",        "layer4.1", "head"};
  CHECK(titles(model_named("resnet18").graph) == resnet18);
  CHECK(titles(run_passes(model_named("resnet18").graph)) == resnet18);
  const std::vector<std::string> resnet50 = {
      "stem",     "layer1.0",        "layer1.1 – 2 ×2", "layer2.0",        "layer2.1 – 3 ×3",
      "layer3.0", "layer3.1 – 5 ×5", "layer4.0",        "layer4.1 – 2 ×2", "head"};
  CHECK(titles(model_named("resnet50").graph) == resnet50);
  CHECK(titles(run_passes(model_named("resnet50d").graph)) == resnet50);
  const std::vector<std::string> deep = {"stem",     "layer1.0 – 199 ×200", "layer2.0", "layer2.1 – 199 ×199",
                                         "layer3.0", "layer3.1 – 199 ×199", "head"};
  CHECK(titles(model_named("cifar10_resnet1202").graph) == deep);
  CHECK(titles(run_passes(model_named("cifar10_resnet1202").graph)) == deep);
  // A v2 block begins with the batch norm before its convolutions, and the last one is the head's.
  const std::vector<std::string> v2 = titles(run_passes(model_named("preact_resnet18").graph));
  CHECK(v2.front() == "stem");
  CHECK(v2[1] == "layer1.0");
  CHECK(v2.back() == "head");
  CHECK(v2.size() == 10);
}

TEST_CASE("inspect: panels are found without the help of names") {
  const std::vector<std::string> wanted = {"stem",
                                           "block 1",
                                           "block 2 – block 3 ×2",
                                           "block 4",
                                           "block 5 – block 7 ×3",
                                           "block 8",
                                           "block 9 – block 13 ×5",
                                           "block 14",
                                           "block 15 – block 16 ×2",
                                           "head"};
  CHECK(titles(anonymous(model_named("resnet50").graph)) == wanted);
  CHECK(titles(anonymous(run_passes(model_named("resnet50").graph))) == wanted);
}

TEST_CASE("inspect: every node that computes is in one panel, and reads what the graph says") {
  for (unsigned seed = 0; seed < 300; seed++) {
    CAPTURE(seed);
    const Graph graph = seed % 2 ? run_passes(random_graph(seed)) : random_graph(seed);
    std::vector<Value> found;
    Value entry = -1;
    for (const Panel& panel : outline(graph)) {
      // Folded panels are equal, so that only their first is there to compare.
      if (panel.repeats > 1) {
        found.clear();
        break;
      }
      for (const OutlineItem& item : panel.items) {
        found.push_back(item.value);
        std::vector<Value> inputs, wanted;
        for (int input : item.inputs)
          inputs.push_back(input == panel_entry ? entry : panel.items[static_cast<size_t>(input)].value);
        for (Value v : graph[item.value].inputs)
          if (!std::holds_alternative<Weight>(graph[v].op) &&
              std::find(wanted.begin(), wanted.end(), v) == wanted.end())
            wanted.push_back(v);
        CHECK(inputs == wanted);
      }
      entry = panel.items.back().value;
    }
    if (found.empty()) continue;
    std::vector<Value> all;
    for (size_t v = 0; v < graph.nodes.size(); v++)
      if (!std::holds_alternative<Weight>(graph.nodes[v].op)) all.push_back(static_cast<Value>(v));
    CHECK(found == all);
  }
}

TEST_CASE("inspect: drawings of the models are neat") {
  for (const char* name :
       {"resnet18", "resnet34", "resnet50", "resnet152", "cifar10_resnet20", "cifar10_resnet1202", "resnext50_32x4d",
        "preact_resnet18", "resnetv2_50", "resnet50d", "resnet50_v1", "cifar10_mlperftiny_resnet8", "digits_resnet8"}) {
    CAPTURE(name);
    const Graph written = model_named(name).graph, fused = run_passes(written),
                folded = run_passes(written, "fold_batch_norm");
    for (const std::vector<GraphToDraw>& graphs : {std::vector<GraphToDraw>{{"as written", &written}},
                                                   {{"fused", &fused}},
                                                   {{"a", &written}, {"b", &folded}, {"c", &fused}}}) {
      int right = -1;
      for (const Drawing& drawing : lay_out(graphs)) {
        check_drawing(drawing);
        check_neat(drawing);
        CHECK(drawing.at.x > right);
        CHECK(drawing.at.width < 3500);
        CHECK(drawing.at.height < 3500);
        right = drawing.at.right();
      }
    }
  }
}

TEST_CASE("inspect: drawings of random graphs") {
  for (unsigned seed = 0; seed < 200; seed++) {
    CAPTURE(seed);
    const Graph graph = random_graph(seed), fused = run_passes(graph);
    for (const Drawing& drawing : lay_out({{"as written", &graph}, {"fused", &fused}})) check_drawing(drawing);
  }
}

TEST_CASE("inspect: the text is a summary and IR that parses") {
  const Model model = model_named("resnet50");
  const Inspection inspection =
      inspect(model, select_kernels(run_passes(model.graph), fixed_machine()), fixed_machine());
  for (const std::string& pass : inspectable_passes()) {
    const InspectedGraph graph = graph_after(model, pass);
    const std::string text = inspect_text(inspection, graph);
    CHECK(parse(text) == graph.graph);
    CHECK(text.find("# parameters  25557032 (25.6 M), 97.5 MiB as float32\n") != std::string::npos);
    CHECK(text.find("# MACs        4089184256 an image (4.09 G)\n") != std::string::npos);
    CHECK(text.find("# input       224×224×3 (height, width, channels)\n") != std::string::npos);
    CHECK(text.find("# output      1000 classes\n") != std::string::npos);
    CHECK((text.find("# memory plan: ") != std::string::npos) == (pass == last_pass()));
  }
}

TEST_CASE("inspect: parameters of nodes add up") {
  for (const char* name : {"resnet18", "cifar10_resnet20", "preact_resnet18"})
    for (const std::string& pass : inspectable_passes()) {
      const Graph graph = graph_after(model_named(name), pass).graph;
      const std::vector<int64_t> counts = parameter_counts(graph);
      CHECK(std::accumulate(counts.begin(), counts.end(), int64_t{0}) == parameter_count(graph));
    }
}

TEST_CASE("inspect: the JSON has the graph as a model file, and all that the summary counts") {
  ModelOptions options;
  options.size = Hw{64, 64};
  const Model model = model_named("resnet18", options);
  const Inspection inspection =
      inspect(model, select_kernels(run_passes(model.graph), fixed_machine()), fixed_machine());
  for (const std::string& pass : {std::string("none"), last_pass()}) {
    const InspectedGraph graph = graph_after(model, pass);
    const auto json = nlohmann::json::parse(inspect_json(inspection, graph));
    CHECK(json.at("name") == "resnet18");
    CHECK(json.at("after") == pass);
    CHECK(json.at("input") == nlohmann::json{3, 64, 64});
    CHECK(json.at("output") == nlohmann::json{1000});
    CHECK(json.at("parameters") == 11689512);
    size_t nodes = 0;
    for (const auto& kernel : json.at("kernels")) nodes += kernel.at("nodes").size();
    CHECK(nodes == inspection.program.steps.size());
    CHECK(json.at("memory").at("arena_bytes") == inspection.plan.arena_bytes);
    CHECK(json.at("memory").at("tensors").size() == inspection.plan.slots.size());
    const JsonValue file = JsonValue::parse(json.at("model").dump(), "m");
    CHECK(
        graph_from_json(file, read_model_file(file, "m", {std::begin(graph_input_keys), std::end(graph_input_keys)})) ==
        graph.graph);
  }
}

TEST_CASE("inspect: SVG and dot of a small net are as they were looked at") {
  const Model model = model_named("digits_resnet8");
  const Inspection inspection =
      inspect(model, select_kernels(run_passes(model.graph), fixed_machine()), fixed_machine());
  check_golden("digits_resnet8.svg",
               inspect_svg(inspection, {graph_after(model, "none"), graph_after(model, last_pass())}));
  check_golden("digits_resnet8.dot", draw_dot(graph_after(model, last_pass()).graph));
}

TEST_CASE("inspect: names of any bytes are escaped") {
  CHECK(xml_escaped("a<b> & \"c\" 'd'") == "a&lt;b&gt; &amp; &quot;c&quot; 'd'");
  CHECK(xml_escaped("é…𝄞") == "é…𝄞");
  const std::string replacement = "\xef\xbf\xbd";
  CHECK(xml_escaped(std::string("\x01\t\n\x1f\0", 5)) == replacement + "\t\n" + replacement + replacement);
  CHECK(xml_escaped("\xff") == replacement);                                 // no UTF-8
  CHECK(xml_escaped("\xc3") == replacement);                                 // cut short
  CHECK(xml_escaped("\xc0\xaf") == replacement + replacement);               // overlong
  CHECK(xml_escaped("\xe0\x80\xaf").starts_with(replacement));               // overlong
  CHECK(xml_escaped("\xed\xa0\x80").find('\xed') == std::string::npos);      // half a surrogate pair
  CHECK(xml_escaped("\xef\xbf\xbe") == replacement);                         // U+FFFE
  CHECK(xml_escaped("\xf4\x90\x80\x80").find('\xf4') == std::string::npos);  // beyond Unicode

  Builder builder("odd");
  const Value x = builder.input("x", image_type(4, 4, 1));
  const Value w = builder.weight("w", {"<\"&>\\\n\x01\xff", "", nullptr}, weight_type({1, 1, 1, 1}));
  const Value y = builder.add("y", Conv2d{}, {x, w});
  const Graph graph = std::move(builder).finish({y});
  const std::string svg = draw_svg("<t>", "s & s", {{"a < b", &graph}});
  CHECK(svg.find("%y = conv2d(%x, %w)") != std::string::npos);
  CHECK(svg.find("&lt;t&gt;") != std::string::npos);
  CHECK(svg.find("<t>") == std::string::npos);
  CHECK(print_json(graph_to_json(graph)).find(R"("tensor": "<\"&>\\\n\u0001)") != std::string::npos);
}

TEST_CASE("inspect: numbers for people") {
  CHECK(short_number(0) == "0");
  CHECK(short_number(999) == "999");
  CHECK(short_number(1000) == "1.00 k");
  CHECK(short_number(9994) == "9.99 k");
  CHECK(short_number(9996) == "10.0 k");
  CHECK(short_number(99'960) == "100 k");
  CHECK(short_number(999'499) == "999 k");
  CHECK(short_number(999'500) == "1.00 M");
  CHECK(short_number(4'089'184'256) == "4.09 G");
  CHECK(short_bytes(1023) == "1023 bytes");
  CHECK(short_bytes(1024) == "1.00 KiB");
  CHECK(short_bytes(102'228'128) == "97.5 MiB");
  CHECK(shortened("layer1.0", 8) == "layer1.0");
  CHECK(shortened("downsample", 5) == "do…le");
  CHECK(shortened("äöüß", 3) == "ä…ß");
}
