#include "compiler/graph_file.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/program.h"
#include "ir/reference.h"
#include "ir/text.h"
#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

// The model as a file of the graph form.
std::string as_graph_file(const Model& model) {
  nlohmann::ordered_json json = graph_to_json(model.graph);
  if (model.preprocess)
    json["preprocess"] = preprocess_to_json(*model.preprocess, model.graph.nodes[0].type.channels());
  return print_json(json);
}

std::vector<std::string> kernel_keys(const Graph& graph) {
  std::vector<std::string> keys;
  for (const Kernel& kernel : select_kernels(run_passes(graph), machine_for("x86-64-linux-avx2", 2)).kernels)
    keys.push_back(to_string(kernel.key));
  return keys;
}

Tensor picture(const Graph& graph) {
  const TensorType& type = graph.nodes[0].type;
  Tensor image{{1, type.height(), type.width(), type.channels()}, {}};
  for (int i = 0; i < element_count(type); i++) image.values.push_back(std::sin(static_cast<float>(i)));
  return image;
}

bool equal(const rn_preprocess& a, const rn_preprocess& b) {
  return a.resize == b.resize && a.resize_height == b.resize_height && a.resize_width == b.resize_width &&
         a.crop_height == b.crop_height && a.crop_width == b.crop_width && a.interpolation == b.interpolation &&
         a.order == b.order && a.scale == b.scale && std::equal(a.mean, a.mean + 3, b.mean) &&
         std::equal(a.std, a.std + 3, b.std);
}

void check_same_net(const std::string& name, const ModelOptions& options, const std::string& weights, bool evaluates) {
  CAPTURE(name);
  const TemporaryFolder folder;
  const std::filesystem::path block_file = models_folder() / (name + ".json");
  const std::string file = folder.write(name + ".json", as_graph_file(read_model(block_file, options)));
  const Model blocks = load_model(block_file, weights, options), graph = load_model(file, weights, {});
  CHECK(graph.name == blocks.name);
  CHECK(graph.has_head == blocks.has_head);
  REQUIRE(graph.preprocess.has_value() == blocks.preprocess.has_value());
  if (graph.preprocess) CHECK(equal(*graph.preprocess, *blocks.preprocess));
  CHECK(graph.graph == blocks.graph);
  for (size_t v = 0; v < graph.graph.nodes.size(); v++)
    if (const auto* weight = std::get_if<Weight>(&graph.graph.nodes[v].op))
      CHECK(*weight->values == *std::get<Weight>(blocks.graph.nodes[v].op).values);
  CHECK(kernel_keys(graph.graph) == kernel_keys(blocks.graph));
  if (evaluates)
    CHECK(evaluate(graph.graph, picture(graph.graph), 2) == evaluate(blocks.graph, picture(blocks.graph), 2));
}

// input -> conv -> relu -> average pool -> fc
const std::string net = R"({
  "name": "net",
  "input": { "channels": 3, "height": 8, "width": 8 },
  "preprocess": { "resize": 10, "crop": 8 },
  "graph": [
    { "name": "conv.weight", "op": "weight", "shape": [4, 3, 3, 3] },
    { "name": "conv", "op": "conv2d", "inputs": ["input", "conv.weight"], "stride": 2, "padding": 1 },
    { "name": "relu", "op": "relu", "inputs": ["conv"] },
    { "name": "average", "op": "global_average_pool", "inputs": ["relu"] },
    { "name": "w", "op": "weight", "shape": [5, 4], "tensor": "fc.weight" },
    { "name": "b", "op": "weight", "shape": [5], "tensor": "fc.bias" },
    { "name": "fc", "op": "dense", "inputs": ["average", "w", "b"] }
  ],
  "output": "fc",
  "labels": "l/five.txt"
})";
// A function, for replaced() may assert only inside a test.
std::string cut_at_relu() {
  return replaced(replaced(net, R"(,
    { "name": "average", "op": "global_average_pool", "inputs": ["relu"] },
    { "name": "w", "op": "weight", "shape": [5, 4], "tensor": "fc.weight" },
    { "name": "b", "op": "weight", "shape": [5], "tensor": "fc.bias" },
    { "name": "fc", "op": "dense", "inputs": ["average", "w", "b"] })",
                           ""),
                  R"("output": "fc",
  "labels": "l/five.txt")",
                  R"("output": "relu")");
}

struct NetFolder : TemporaryFolder {
  NetFolder() { write("l/five.txt", "a\nb\nc\nd\ne\n"); }
  Model load(const std::string& text, const ModelOptions& options = {}, const std::string& weights = "random:1") const {
    return load_model(write("net.json", text), weights, options);
  }
  std::string problem(const std::string& text, const ModelOptions& options = {},
                      const std::string& weights = "random:1") const {
    return message_of([&] { load(text, options, weights); });
  }
  std::string file() const { return *this / "net.json"; }
};

std::string floats(size_t count, float first) {
  std::vector<float> values;
  for (size_t i = 0; i < count; i++) values.push_back(first + static_cast<float>(i));
  return bytes_of(values);
}

ModelOptions with_classes(int classes) {
  ModelOptions options;
  options.classes = classes;
  return options;
}
ModelOptions without_head() {
  ModelOptions options;
  options.no_head = true;
  return options;
}

}  // namespace

TEST_CASE("graph files: the same net in both forms has the same weights, kernels and results") {
  ModelOptions small;
  small.size = Hw{64, 48};
  for (const char* name : {"resnet18", "preact_resnet18", "resnet50d", "resnext50_32x4d"})
    check_same_net(name, small, "random:3", std::string(name) == "resnet18");
  ModelOptions tiny;
  tiny.size = Hw{16, 16};
  for (const char* name : {"cifar10_resnet20", "cifar10_preact_resnet20", "cifar10_mlperftiny_resnet8"})
    check_same_net(name, tiny, "random:3", true);
  check_same_net("digits_resnet8", {}, (models_folder() / "digits_resnet8.safetensors").string(), true);
  check_same_net("cifar10_resnet20", without_head(), "random:3", true);
  check_same_net("cifar10_resnet1202", tiny, "random:3", false);
}

TEST_CASE("graph files: --size, --classes, --no-head and --labels") {
  const NetFolder folder;
  Model model = folder.load(net);
  CHECK(model.labels.size() == 5);
  CHECK(model.has_head);
  CHECK(model.graph[model.graph.outputs[0]].type == vector_type(5));

  ModelOptions size;
  size.size = Hw{16, 24};
  model = folder.load(net, size);
  CHECK(model.graph.nodes[0].type == image_type(16, 24, 3));
  CHECK(model.graph.nodes[2].type == image_type(8, 12, 4));
  CHECK(model.preprocess->crop_width == 24);
  CHECK(model.preprocess->resize_height == 20);

  ModelOptions seven = with_classes(7);
  model = folder.load(net, seven);
  CHECK(model.labels.empty());  // five do not fit: a warning
  CHECK(model.graph[model.graph.outputs[0]].type == vector_type(7));
  CHECK(std::get<Weight>(model.graph.nodes[5].op).values->size() == 28);
  seven.labels = folder.write("seven.txt", "1\n2\n3\n4\n5\n6\n7\n");
  CHECK(folder.load(net, seven).labels.back() == "7");

  model = folder.load(net, without_head());
  CHECK_FALSE(model.has_head);
  CHECK(model.labels.empty());
  CHECK(print(model.graph) == print(folder.load(cut_at_relu()).graph));
  CHECK(print(folder.load(cut_at_relu(), without_head()).graph) == print(model.graph));
  // Fused: the dense layer averages itself.
  const std::string fused =
      replaced(replaced(net, R"({ "name": "average", "op": "global_average_pool", "inputs": ["relu"] },)", ""),
               R"("inputs": ["average", "w", "b"])", R"("inputs": ["relu", "w", "b"], "global_average": true)");
  CHECK(print(folder.load(fused, without_head()).graph) == print(model.graph));
}

TEST_CASE("graph files: options that do not fit are refused with a reason") {
  const NetFolder folder;
  const std::string pooled = replaced(net, R"("output": "fc")", R"("output": "average")");
  const std::string without_fc = replaced(pooled, R"(,
    { "name": "w", "op": "weight", "shape": [5, 4], "tensor": "fc.weight" },
    { "name": "b", "op": "weight", "shape": [5], "tensor": "fc.bias" },
    { "name": "fc", "op": "dense", "inputs": ["average", "w", "b"] })",
                                          "");
  const std::string unlabelled = replaced(without_fc, R"(,
  "labels": "l/five.txt")",
                                          "");
  CHECK(folder.load(unlabelled).has_head);
  CHECK(
      folder.problem(unlabelled, with_classes(3)) ==
      "--classes 3: the output %average is a global_average_pool, and only that of a dense has a number of classes to "
      "replace");
  CHECK(folder.problem(unlabelled, without_head()) ==
        "--no-head: the output %average is a global_average_pool; only a dense after a global_average_pool can be left "
        "out");
  CHECK(folder.problem(cut_at_relu(), with_classes(3)) == "--classes 3: needs a head");
  const std::string shared =
      replaced(replaced(net, R"("output": "fc")", R"("output": "fc2")"), R"("inputs": ["average", "w", "b"] })",
               R"("inputs": ["average", "w", "b"] },
      { "name": "square", "op": "weight", "shape": [4, 5] },
      { "name": "back", "op": "dense", "inputs": ["fc", "square"] },
      { "name": "fc2", "op": "dense", "inputs": ["back", "w"] })");
  CHECK(folder.problem(shared, with_classes(3)) == "--classes 3: %w is a weight of other nodes too");
  CHECK(folder.problem(shared, without_head()) ==
        "--no-head: the output %fc2 is a dense; only a dense after a global_average_pool can be left out");
  CHECK(folder.problem(net, with_classes(0)) == "--classes 0: must be from 1 to 65536");
  ModelOptions labels = without_head();
  labels.labels = "x.txt";
  CHECK(folder.problem(net, labels) == "--labels x.txt: needs a head");
  ModelOptions size;
  size.size = Hw{9000, 8};
  CHECK(folder.problem(net, size) == "--size 9000x8: height and width must be from 1 to 8192");
}

TEST_CASE("graph files: what is wrong is named by its place") {
  const NetFolder folder;
  const auto says = [&](const std::string& part, const std::string& by) {
    const std::string message = folder.problem(replaced(net, part, by));
    REQUIRE(message.starts_with(folder.file() + ": "));
    return message.substr(folder.file().size() + 2);
  };
  CHECK(says(R"("output": "fc")", R"("output": ["fc", "average"])") ==
        "output: must be the name of one node for a model");
  CHECK(says(R"("output": "fc")", R"("output": ["fc"])") == "output: must be the name of one node for a model");
  CHECK(says(R"("output": "fc")", R"("output": "average")") == "graph[4]: the output does not need \"w\"; remove it");
  CHECK(
      says(R"("inputs": ["conv"] },)",
           R"("inputs": ["conv"] }, { "name": "o", "op": "output", "inputs": ["relu"] },)") ==
      "graph[3].op: an output is made by resnetc alone; remove the node, and name what it reads as the model's output");
  CHECK(says(R"("inputs": ["average", "w", "b"])", R"("inputs": ["average", "w"])") ==
        "graph[5]: the output does not need \"b\"; remove it");
  CHECK(says(R"("labels": "l/five.txt")", R"("labels": "")") == "labels: must be the path of a file");
  CHECK(says(R"("labels": "l/five.txt")", R"("head": null)") ==
        "head: is an unknown key; known here: name, input, preprocess, graph, output, labels");
  CHECK(says(R"("height": 8)", R"("height": 8, "depth": 1)") ==
        "input.depth: is an unknown key; known here: name, channels, height, width, border");
  CHECK(says(R"("crop": 8)", R"("crop": 9)") ==
        "preprocess.crop: must equal the input's height 8 and width 8, got 9 and 9");
  folder.write("l/five.txt", "a\nb\n");
  CHECK(says(R"("name": "net")", R"("name": "net")") ==
        "labels: " + folder / "l/five.txt" + " has 2 labels for 5 classes");
  const std::string labelled_map =
      replaced(cut_at_relu(), R"("output": "relu")", R"("output": "relu", "labels": "l/five.txt")");
  CHECK(folder.problem(labelled_map) ==
        folder.file() +
            ": labels: the output is an image, f32[n,4,4,4], which has no classes; leave "
            "it out");
}

TEST_CASE("graph files: weights come from the tensors that they name") {
  const NetFolder folder;
  const std::vector<TensorToWrite> tensors = {{"conv.weight", "F32", "[4,3,3,3]", floats(108, 0)},
                                              {"fc.weight", "F32", "[5,4]", floats(20, 200)},
                                              {"fc.bias", "F32", "[5]", floats(5, 300)}};
  const std::string weights = folder.write("w.safetensors", safetensors_bytes(tensors));
  const Model model = folder.load(net, {}, weights);
  // [o][i][y][x] = 27 o + 9 i + 3 y + x in the file
  const std::vector<float>& conv = *std::get<Weight>(model.graph.nodes[1].op).values;
  for (int o = 0; o < 4; o++)
    for (int y = 0; y < 3; y++)
      for (int x = 0; x < 3; x++)
        for (int i = 0; i < 3; i++)
          CHECK(conv[static_cast<size_t>(27 * o + 9 * y + 3 * x + i)] ==
                static_cast<float>(27 * o + 9 * i + 3 * y + x));
  CHECK((*std::get<Weight>(model.graph.nodes[6].op).values)[4] == 304);

  // A dropped head's tensors are not left over, others are.
  CHECK_FALSE(folder.load(net, without_head(), weights).has_head);
  CHECK(folder.problem(cut_at_relu(), {}, weights) ==
        weights +
            ": the topology does not use 2 of the tensors: \"fc.bias\", \"fc.weight\"; check that the file belongs "
            "to the topology, or pass --ignore-extra");
  CHECK(folder.problem(net, with_classes(6), weights) ==
        weights +
            ": tensor \"fc.weight\": has shape [5,4], but the topology needs [6,4]; give --classes 5 or another "
            "file");
  CHECK(folder.problem(replaced(net, R"("tensor": "fc.bias")", R"("tensor": "fc.b")"), {}, weights)
            .starts_with(weights + ": tensor \"fc.b\": is missing; the topology needs it as [5]"));

  const std::string digest = "5b6fb58e61fa475939767d68a446f97f1bff02c0e5935a3ea8bb51e6515783d8";
  CHECK(folder
            .problem(replaced(net, R"("tensor": "fc.bias")", R"("tensor": "fc.bias", "sha256": ")" + digest + '"'), {},
                     weights)
            .starts_with(weights + ": tensor \"fc.bias\": has SHA-256 "));
}

TEST_CASE("graph files: random weights keep activations in range without batch norms too") {
  for (const std::string name : {"cifar10_resnet56", "cifar10_preact_resnet20"}) {
    CAPTURE(name);
    ModelOptions options;
    options.size = Hw{8, 8};
    Model folded = read_model(models_folder() / (name + ".json"), options);
    folded.graph = run_passes(folded.graph);
    const NetFolder folder;
    const Model model = folder.load(as_graph_file(folded), {}, "random:1");
    double squares = 0;
    const std::vector<float> logits = evaluate(model.graph, picture(model.graph), 2)[0].values;
    for (float v : logits) squares += double{v} * v;
    const double magnitude = std::sqrt(squares / static_cast<double>(logits.size()));
    CHECK(magnitude > 0.05);
    CHECK(magnitude < 20);
  }
}
