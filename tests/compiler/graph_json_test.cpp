#include "compiler/graph_json.h"

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "compiler/passes.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/compiler/front_end.h"
#include "tests/support/random_graph.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;
using Json = nlohmann::ordered_json;

Graph read(const std::string& text) {
  const JsonValue json = JsonValue::parse(text, "g.json");
  return graph_from_json(json,
                         read_model_file(json, "g.json", {std::begin(graph_input_keys), std::end(graph_input_keys)}));
}

std::string problem(const std::string& text) {
  return message_about("g.json", [&] { read(text); });
}

// JSON -> IR -> text -> IR -> JSON
void check_round_trip(const Graph& graph) {
  const std::string json = print_json(graph_to_json(graph));
  CAPTURE(json);
  const Graph from_json = read(json);
  CHECK(from_json == parse(print(graph)));  // compares no values
  const Graph from_text = parse(print(from_json));
  CHECK(from_text == from_json);
  CHECK(print_json(graph_to_json(from_text)) == json);
}

// Each op, and each attribute in each of its forms.
const std::string every_op = R"x(graph every_op {
  %x = input : f32[n,8,8,2] border=[1,2,3,4]
  %s = weight "s" : f32[2]
  %w = weight "w" : f32[2,1,1,2]
  %bn = batch_norm(%x, %s, %s, %s, %s) epsilon=0.001 : f32[n,8,8,2] border=1
  %bn.2 = batch_norm(%bn, %s, %s, %s, %s) epsilon=1.2345678901234567e-07 : f32[n,8,8,2]
  %scaled = scale_shift(%bn.2, %s, %s) relu=1 : f32[n,8,8,2]
  %relu = relu(%scaled) maximum=6 : f32[n,8,8,2]
  %conv = conv2d(%relu, %w, %s) | add(%x) | relu | add(%bn) : f32[n,8,8,2]
  %kernel = weight "a \"quoted\" name\\ é" sha256=00ff : bf16[4,3,2,1]
  %wide = conv2d(%x, %kernel) stride=[2,3] dilation=[2,1] padding=[1,2,3,0] groups=2 : f32[n,4,3,4] border=[1,2,3,0]
  %b = weight "" : f32[4]
  %joined = weight "joined" : f32[4,1,1,6]
  %projected = conv2d(%wide, %joined, %b) | project(%x) stride=[2,3] | relu | add(%wide) : f32[n,4,3,4]
  %mixed = conv2d(%wide, %kernel) padding=1 groups=4 interleave=2 : f32[n,4,4,4]
  %half = conv2d(%x, %kernel, %b) stride=2 padding=[1,0,1,1] groups=2 | add(%x) subsample=2 channels_before=1 : f32[n,4,4,4]
  %pool = max_pool(%conv) kernel=3 stride=2 padding=1 : f32[n,4,4,2]
  %mean = average_pool(%conv) kernel=[3,2] stride=2 padding=[1,0,1,0] : f32[n,4,4,2]
  %sum = add(%pool, %conv) subsample=2 : f32[n,4,4,2]
  %small = add(%half, %mean) channels_before=2 : f32[n,4,4,4]
  %stem = conv2d(%x, %w, %s) | relu maximum=6 | max_pool kernel=[2,1] stride=[2,1] padding=[1,0,0,0] : f32[n,4,8,2]
  %average = global_average_pool(%sum) : f32[n,2]
  %fc = weight "fc" : f32[3,2]
  %logits = dense(%average, %fc) : f32[n,3]
  %logits2 = dense(%stem, %fc) global_average=1 : f32[n,3]
  %total = add(%logits, %logits2) : f32[n,3]
  %map = output(%small) : f32[n,4,4,4]
  return %total, %map
}
)x";

template <class AnyOp>
void check_fields_are_in(const AnyOp& op, const std::map<std::string, std::set<std::string>>& seen) {
  const std::string name(op.op_name);
  CAPTURE(name);
  REQUIRE(seen.contains(name));
  for_each_field(op, [&](std::string_view field, const auto&) { CHECK(seen.at(name).contains(std::string(field))); });
}

template <class Variant, size_t I = 0>
void check_all_fields_are_in(const std::map<std::string, std::set<std::string>>& seen) {
  if constexpr (I < std::variant_size_v<Variant>) {
    using AnyOp = std::variant_alternative_t<I, Variant>;
    if (!std::is_same_v<AnyOp, Input>) check_fields_are_in(AnyOp{}, seen);
    check_all_fields_are_in<Variant, I + 1>(seen);
  }
}

template <class Variant, size_t I = 0>
void check_schema_has_all_fields(const Json& definitions, const std::string& kind, std::set<std::string> keys) {
  if constexpr (I < std::variant_size_v<Variant>) {
    using AnyOp = std::variant_alternative_t<I, Variant>;
    if constexpr (!std::is_same_v<AnyOp, Input> && !std::is_same_v<AnyOp, Weight>) {
      const std::string name(AnyOp::op_name);
      CAPTURE(name);
      std::set<std::string> wanted = keys, found;
      AnyOp op;
      for_each_field(op, [&](std::string_view field, const auto&) { wanted.emplace(field); });
      if (std::is_same_v<AnyOp, Conv2d>) wanted.insert("epilogue");
      if constexpr (std::is_same_v<Variant, Epilogue>)
        if (step_operands(op) > 0) wanted.insert("inputs");
      REQUIRE(definitions.contains(name + kind));
      for (const auto& [key, value] : definitions.at(name + kind).at("properties").items()) found.insert(key);
      CHECK(found == wanted);
    }
    check_schema_has_all_fields<Variant, I + 1>(definitions, kind, std::move(keys));
  }
}

const std::string small = R"({
  "name": "small",
  "input": { "name": "x", "channels": 2, "height": 6, "width": 4 },
  "graph": [
    { "name": "w", "op": "weight", "shape": [3, 2, 1, 3] },
    { "name": "bias", "op": "weight", "shape": [3], "tensor": "b" },
    { "name": "conv", "op": "conv2d", "inputs": ["x", "w", "bias"], "stride": [2, 1], "padding": [0, 1, 0, 1],
      "epilogue": [{ "op": "relu" }, { "op": "max_pool", "kernel": 2 }] },
    { "name": "sum", "op": "add", "inputs": ["conv", "conv"] }
  ],
  "output": "sum"
})";

}  // namespace

TEST_CASE("graph JSON: every op with every attribute goes to JSON, to the IR, to text and back") {
  const Graph graph = parse(every_op);
  check_round_trip(graph);
  std::map<std::string, std::set<std::string>> nodes, steps;  // the keys that each op has anywhere
  const Json json = graph_to_json(graph);
  for (const Json& node : json.at("graph")) {
    for (const auto& [key, value] : node.items()) nodes[node["op"]].insert(key);
    if (node.contains("epilogue"))
      for (const Json& step : node["epilogue"])
        for (const auto& [key, value] : step.items()) steps[step["op"]].insert(key);
  }
  check_all_fields_are_in<Op>(nodes);
  check_all_fields_are_in<Epilogue>(steps);
}

TEST_CASE("graph JSON: the schema has every op with every attribute and no more") {
  const Json schema =
      Json::parse(read_text_file(std::filesystem::path(RESNETC_SOURCE_DIR) / "docs" / "topology.schema.json", 1));
  check_schema_has_all_fields<Op>(schema.at("$defs"), "_node", {"name", "op", "inputs", "border"});
  check_schema_has_all_fields<Epilogue>(schema.at("$defs"), "_step", {"op"});
}

TEST_CASE("graph JSON: random graphs, as they are and after all passes") {
  const auto start = std::chrono::steady_clock::now();
  unsigned seed = 0;
  for (; seed < 100 || std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500); seed++) {
    CAPTURE(seed);
    const Graph graph = random_graph(seed);
    check_round_trip(graph);
    check_round_trip(run_passes(graph));
    check_round_trip(run_passes(graph, "", {DType::bf16}));
  }
  MESSAGE(seed << " seeds");
}

TEST_CASE("graph JSON: a file says what the IR's text says, OIHW being OHWI there") {
  CHECK(print(read(small)) == R"(graph small {
  %x = input : f32[n,6,4,2]
  %w = weight "w" : f32[3,1,3,2]
  %bias = weight "b" : f32[3]
  %conv = conv2d(%x, %w, %bias) stride=[2,1] padding=[0,1,0,1] | relu | max_pool kernel=2 : f32[n,2,3,3]
  %sum = add(%conv, %conv) : f32[n,2,3,3]
  return %sum
}
)");
}

TEST_CASE("graph JSON: one line a node") {
  CHECK(print_json(graph_to_json(read(small))) == R"({
  "name": "small",
  "input": { "name": "x", "channels": 2, "height": 6, "width": 4 },
  "graph": [
    { "name": "w", "op": "weight", "shape": [3, 2, 1, 3] },
    { "name": "bias", "op": "weight", "shape": [3], "tensor": "b" },
    { "name": "conv", "op": "conv2d", "inputs": ["x", "w", "bias"], "stride": [2, 1], "padding": [0, 1, 0, 1], "epilogue": [{ "op": "relu" }, { "op": "max_pool", "kernel": 2 }] },
    { "name": "sum", "op": "add", "inputs": ["conv", "conv"] }
  ],
  "output": "sum"
}
)");
}

TEST_CASE("graph JSON: what is wrong is named by its place") {
  const std::string sum = R"({ "name": "sum", "op": "add", "inputs": ["conv", "conv"] })";
  const auto with = [&](const std::string& nodes) { return problem(replaced(small, sum, nodes)); };
  const auto changed = [&](const std::string& part, const std::string& by) {
    return problem(replaced(small, part, by));
  };

  CHECK(changed(R"("shape": [3, 2, 1, 3])", R"("shape": [3, 2, 1, 3], "dtype": "f16")") ==
        "graph[0].dtype: must be \"f32\" or \"bf16\", got \"f16\"");

  // names and order
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "cnv"] })") ==
        "graph[3].inputs[1]: there is no node \"cnv\"");
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "sum"] })") ==
        "graph[3].inputs[1]: makes a cycle of inputs: \"sum\" -> \"sum\"");
  CHECK(with(R"({ "name": "a", "op": "relu", "inputs": ["b"] }, { "name": "b", "op": "relu", "inputs": ["sum"] },
                { "name": "sum", "op": "relu", "inputs": ["a"] })") ==
        "graph[3].inputs[0]: makes a cycle of inputs: \"a\" -> \"b\" -> \"sum\" -> \"a\"");
  CHECK(with(R"({ "name": "sum", "op": "relu", "inputs": ["b"] }, { "name": "b", "op": "relu", "inputs": ["x"] })") ==
        "graph[3].inputs[0]: \"b\" stands below, as graph[4]; list a node after its inputs");
  CHECK(with(R"({ "name": "conv", "op": "relu", "inputs": ["x"] })") ==
        "graph[3].name: \"conv\" is the name of graph[2] too");
  CHECK(with(R"({ "name": "x", "op": "relu", "inputs": ["x"] })") == "graph[3].name: \"x\" is the input's name");
  CHECK(with(R"({ "name": "a b", "op": "relu", "inputs": ["x"] })") ==
        "graph[3]: node %a b: a name may hold letters, digits, '_', '.' and '-' only");
  CHECK(changed(R"("name": "x")", R"("name": "x/y")") ==
        "input: node %x/y: a name may hold letters, digits, '_', '.' and '-' only");
  CHECK(changed(R"("output": "sum")", R"("output": "sun")") == "output: there is no node \"sun\"");
  CHECK(changed(R"("output": "sum")", R"("output": "w")") == "output: \"w\" is a weight; an output is computed");
  CHECK(changed(R"("output": "sum")", R"("output": [])") == "output: must have 1 to 64 elements, got 0");
  CHECK(changed(R"(  "output": "sum")", R"(  "outputs": "sum")") == "output: is required, but missing");

  // ops and attributes
  CHECK(
      with(R"({ "name": "sum", "op": "sum", "inputs": ["conv", "conv"] })") ==
      "graph[3].op: must be \"weight\", \"conv2d\", \"batch_norm\", \"scale_shift\", \"relu\", \"add\", \"max_pool\", "
      "\"average_pool\", \"global_average_pool\", \"dense\" or \"output\", got \"sum\"");
  CHECK(with(R"({ "name": "sum", "op": "input" })").starts_with("graph[3].op: must be \"weight\", "));
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "conv"], "subsampel": 2 })") ==
        "graph[3].subsampel: is an unknown key; known here: name, op, inputs, border, subsample, channels_before");
  CHECK(with(R"({ "name": "sum", "op": "relu", "inputs": ["conv"], "epilogue": [] })") ==
        "graph[3].epilogue: is an unknown key; known here: name, op, inputs, border, maximum");
  CHECK(with(R"({ "name": "sum", "op": "relu" })") == "graph[3].inputs: is required, but missing");
  CHECK(with(R"({ "name": "sum", "op": "relu", "inputs": "conv" })") ==
        "graph[3].inputs: must be an array, got \"conv\"");
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "conv"], "subsample": -1 })") ==
        "graph[3].subsample: must be at least 0, got -1");
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "conv"], "subsample": 4294967296 })") ==
        "graph[3].subsample: must be at most 2147483647, got 4294967296");
  CHECK(changed(R"("stride": [2, 1])", R"("stride": 1.5)") == "graph[2].stride: must be an integer, got 1.5");
  CHECK(changed(R"("stride": [2, 1])", R"("stride": [2])") == "graph[2].stride: must have 2 elements, got 1");
  CHECK(changed(R"("stride": [2, 1])", R"("stride": 0)") == "graph[2].stride: must be at least 1, got 0");
  CHECK(changed(R"([0, 1, 0, 1])", R"([1, 1])") == "graph[2].padding: must have 4 elements, got 2");
  CHECK(with(R"({ "name": "sum", "op": "scale_shift", "inputs": ["conv", "bias", "bias"], "relu": 1 })") ==
        "graph[3].relu: must be true or false, got 1");
  CHECK(with(R"({ "name": "sum", "op": "batch_norm", "inputs": ["conv", "bias", "bias", "bias", "bias"],
                  "epsilon": "1" })") == "graph[3].epsilon: must be a number, got \"1\"");

  // the epilogue
  CHECK(changed(R"({ "op": "relu" })", R"({ "op": "dense" })") ==
        "graph[2].epilogue[0].op: must be \"relu\", \"add\", \"max_pool\" or \"project\", got \"dense\"");
  CHECK(changed(R"({ "op": "relu" })", R"({ "op": "relu", "inputs": ["x"] })") ==
        "graph[2].epilogue[0].inputs: is an unknown key; known here: op, maximum");
  CHECK(changed(R"({ "op": "relu" })", R"({ "op": "add" })") ==
        "graph[2].epilogue[0].inputs: is required, but missing");
  CHECK(changed(R"({ "op": "relu" })", R"({ "op": "add", "inputs": ["x", "x"] })") ==
        "graph[2].epilogue[0].inputs: must have 1 elements, got 2");
  CHECK(changed(R"({ "op": "relu" })", R"({ "op": "add", "inputs": ["sum"] })") ==
        "graph[2].epilogue[0].inputs[0]: makes a cycle of inputs: \"conv\" -> \"sum\" -> \"conv\"");
  CHECK(changed(R"(["x", "w", "bias"])", R"(["x", "w"])") ==
        "graph[2].inputs: an epilogue needs a bias: [x, weight, bias], got 2 inputs");

  // shapes
  CHECK(changed("[3, 2, 1, 3]", "[3, 4, 1, 3]") ==
        "graph[2]: node %conv: conv2d: weight must be [3,1,3,2], got f32[3,1,3,4] (a weight's shape "
        "[out,in,height,width] is [out,height,width,in] here)");
  CHECK(changed(R"("shape": [3], "tensor")", R"("shape": [4], "tensor")")
            .starts_with("graph[2]: node %conv: conv2d: bias must be [3], got f32[4]"));
  CHECK(
      changed("[3, 2, 1, 3]", "[3, 2, 9, 3]")
          .starts_with("graph[2]: node %conv: conv2d: kernel 9 (dilation 1) does not fit height 6 padded by 0 and 0"));
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv", "x"] })") ==
        "graph[3]: node %sum: add: operands must be activations of one shape, got f32[n,2,3,3] and f32[n,6,4,2]");
  CHECK(with(R"({ "name": "sum", "op": "add", "inputs": ["conv"] })") ==
        "graph[3]: node %sum: add: takes 2 operands, got 1");
  CHECK(with(R"({ "name": "sum", "op": "weight", "shape": [] })") ==
        "graph[3].shape: must have 1 to 4 elements, got 0");
  CHECK(with(R"({ "name": "sum", "op": "weight", "shape": [-1, 3] })") ==
        "graph[3].shape[0]: must be at least 1, got -1");
  CHECK(with(R"({ "name": "sum", "op": "weight", "shape": [65536, 65536] })") ==
        "graph[3]: node %sum: f32[65536,65536] has more than 2^31 - 1 elements");
  CHECK(with(R"({ "name": "sum", "op": "relu", "inputs": ["conv"], "border": -1 })") ==
        "graph[3].border: must be at least 0, got -1");
  CHECK(with(R"({ "name": "sum", "op": "global_average_pool", "inputs": ["conv"], "border": 1 })") ==
        "graph[3]: node %sum: only an image may have a border");
  CHECK(
      problem(R"({ "name": "n", "input": { "channels": 1, "height": 1, "width": 1 }, "graph": [], "output": "x" })") ==
      "graph: must have 1 to 2147483647 elements, got 0");
}

TEST_CASE("graph JSON: long chains and large files take time in proportion") {
  std::string nodes;
  const int count = 20'000;
  for (int i = 0; i < count; i++)
    nodes += R"({ "name": "r)" + std::to_string(i) + R"(", "op": "relu", "inputs": [")" +
             (i == 0 ? "input" : "r" + std::to_string(i - 1)) + R"("] })" + (i + 1 < count ? "," : "");
  const std::string text = R"({ "name": "chain", "input": { "channels": 1, "height": 1, "width": 1 }, "graph": [)" +
                           nodes + R"(], "output": "r19999" })";
  const auto start = std::chrono::steady_clock::now();
  CHECK(read(text).nodes.size() == 20'001);
  // The first node reads the last: a cycle through them all.
  const std::string message = problem(replaced(text, R"(["input"])", R"(["r19999"])"));
  CHECK(message.starts_with("graph[0].inputs[0]: makes a cycle of inputs: \"r0\" -> \"r19999\" -> \"r19998\""));
  CHECK(message.size() < 2000);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}
