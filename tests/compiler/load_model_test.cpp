#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>

#include "compiler/json_reader.h"
#include "compiler/model.h"
#include "ir/reference.h"
#include "ir/verify.h"
#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

Model load(const std::string& name, const ModelOptions& options = {}, const std::string& weights = "random:1") {
  return load_model(models_folder() / (name + ".json"), weights, options);
}

const Node& node_named(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes)
    if (node.name == name) return node;
  FAIL(name);
  throw Error(name);
}

const std::vector<float>& values_of(const Model& model, const std::string& name) {
  return *std::get<Weight>(node_named(model.graph, name).op).values;
}

// A smooth picture, and another for every seed.
Tensor picture(const Model& model, int seed) {
  const TensorType& type = model.graph.nodes[0].type;
  Tensor image{{1, type.height(), type.width(), type.channels()}, {}};
  for (int i = 0; i < element_count(type); i++) image.values.push_back(std::sin(static_cast<float>(i * (seed + 3))));
  return image;
}

// The values of a .npy file of which only the element type matters.
template <class Number>
std::vector<Number> npy_values(const std::filesystem::path& path) {
  const std::string bytes = read_text_file(path, 64);
  REQUIRE(bytes.size() > 10);
  const size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  std::vector<Number> values((bytes.size() - header) / sizeof(Number));
  std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(Number));
  return values;
}

}  // namespace

namespace {

void check_counts(const Model& model, int64_t parameters, double megamacs, double tolerance) {
  CHECK(parameter_count(model.graph) == parameters);
  if (megamacs == 0) return;
  const double counted = static_cast<double>(mac_count(model.graph)) / 1e6;
  CHECK(std::abs(counted - megamacs) <= tolerance * megamacs);
}

}  // namespace

TEST_CASE("the shipped models have the published numbers of parameters and multiply-accumulates") {
  struct Case {
    std::string name;
    int64_t parameters;
    double megamacs;   // 0: not published
    double tolerance;  // what is published may count batch norms, pools and sums too
  };
  const double exact = 0.5 / 1814, all = 0.005, all_small = 0.02;
  const Case cases[] = {
      // torchvision
      {"resnet18", 11689512, 1814, exact},
      {"resnet34", 21797672, 3664, exact},
      {"resnet50", 25557032, 4089, exact},
      {"resnet101", 44549160, 7801, exact},
      {"resnet152", 60192808, 11514, exact},
      {"resnext50_32x4d", 25028904, 4230, exact},
      {"wide_resnet50_2", 68883240, 11398, exact},
      // akamaster/pytorch_resnet_cifar10, and osmr/imgclsmob, whose shortcuts are projections
      {"cifar10_resnet20", 269722, 41.29, all_small},
      {"cifar10_resnet32", 464154, 0, 0},
      {"cifar10_resnet44", 658586, 0, 0},
      {"cifar10_resnet56", 853018, 127.06, all_small},
      {"cifar10_resnet110", 1727962, 255.70, all_small},
      {"cifar10_resnet1202", 19421274, 2857.17, all_small},
      {"cifar10_resnet20b", 272474, 41.29, all_small},
      {"cifar10_preact_resnet20", 272282, 41.27, all_small},
      // imgclsmob's v1, and its v2 nets less the batch norm of 64 channels that they have before the first block
      {"resnet50_v1", 25557032, 3868.96, all},
      {"preact_resnet18", 11687848 - 128, 1818.41, all},
      {"resnetv2_50", 25549480 - 128, 4100.90, all},
      // timm: 25.58 M and 4.35 G. ResNet-50 with a stem of 9 * (3 * 32 + 32 * 32 + 32 * 64) weights and two more batch
      // norms for one of 49 * 3 * 64
      {"resnet50d", 25557032 + 9 * 3168 + 2 * 64 - 9408, 4350, all},
      // mlcommons/tiny: 12.5 M operations, 78,666 parameters with the 480 statistics of its batch norms
      {"cifar10_mlperftiny_resnet8", 78666 - 480, 12.50, all},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Model model = load(c.name);
    CHECK(model.name == c.name);
    CHECK(model.graph.name == c.name);
    check_counts(model, c.parameters, c.megamacs, c.tolerance);
    const size_t classes = c.name.starts_with("cifar") ? 10 : 1000;
    CHECK(model.labels.size() == classes);
    CHECK(model.graph[model.graph.outputs[0]].type == vector_type(static_cast<int>(classes)));
    REQUIRE(model.preprocess);
    CHECK(model.preprocess->order == rn_order_rgb);
  }
}

TEST_CASE("the topologies in the documents are good ones") {
  const TemporaryFolder folder;
  int found = 0;
  for (const char* document : {"README.md", "docs/topology.md", "docs/topologies.md", "docs/graph_files.md"}) {
    CAPTURE(document);
    const std::string text = read_text_file(std::filesystem::path(RESNETC_SOURCE_DIR) / document, 1);
    for (size_t at = 0; (at = text.find("```json\n", at)) != std::string::npos;) {
      const size_t end = text.find("```", at + 8);
      REQUIRE(end != std::string::npos);
      std::string net = text.substr(at + 8, end - at - 8);
      at = end + 3;
      net.erase(0, std::min(net.find_first_not_of(' '), net.size()));
      // Fragments show a key or two.
      if (!net.starts_with("{ \"name\"") && !net.starts_with("{\n  \"name\"")) continue;
      found++;
      const size_t labels = net.find(", \"labels\"");
      if (labels != std::string::npos) net.erase(labels, net.find('}', labels) - labels);
      CHECK(load_model(folder.write("n.json", net), "random:1", {}).has_head);
    }
  }
  CHECK(found >= 3);
}

// osmr/imgclsmob's figures again, for nets of He et al. 2016 that models/ does not have.
TEST_CASE("deep v2 nets have the published numbers of parameters and multiply-accumulates") {
  struct Case {
    std::string block;
    int blocks;  // of a stage
    int64_t parameters;
    double megamacs;
  };
  const Case cases[] = {{"basic", 9, 855578, 127.03},
                        {"basic", 18, 1730522, 255.68},
                        {"bottleneck", 18, 1703258, 255.08},
                        {"bottleneck", 111, 10327706, 1536.18}};
  const TemporaryFolder folder;
  for (const Case& c : cases) {
    CAPTURE(c.parameters);
    std::string text = R"({ "name": "v2", "input": { "channels": 3, "height": 32, "width": 32 },
      "stem": { "channels": 16, "kernel": 3, "padding": 1 }, "block": "BLOCK", "activation": "pre",
      "stages": [ { "blocks": N, "channels": 16 }, { "blocks": N, "channels": 32, "stride": 2 },
                  { "blocks": N, "channels": 64, "stride": 2 } ], "head": { "classes": 10 } })";
    text = replaced(text, "BLOCK", c.block);
    for (int stage = 0; stage < 3; stage++) text = replaced(text, "N,", std::to_string(c.blocks) + ",");
    check_counts(load_model(folder.write("v2.json", text), "random:1", {}), c.parameters, c.megamacs, 0.03);
  }
}

TEST_CASE("random weights follow from seed and name alone") {
  const Model a = load("cifar10_resnet20"), again = load("cifar10_resnet20");
  const Model deeper = load("cifar10_resnet32"), other = load("cifar10_resnet20", {}, "random:2");
  for (const Node& node : a.graph.nodes)
    if (std::holds_alternative<Weight>(node.op)) CHECK(values_of(a, node.name) == values_of(again, node.name));
  CHECK(values_of(a, "layer3.0.conv1.weight") == values_of(deeper, "layer3.0.conv1.weight"));
  CHECK(values_of(a, "layer1.1.bn1.running_var") == values_of(deeper, "layer1.1.bn1.running_var"));
  CHECK(values_of(a, "conv1.weight") != values_of(other, "conv1.weight"));
  CHECK(values_of(a, "layer1.1.conv1.weight") != values_of(a, "layer1.1.conv2.weight"));

  // From the definition of FNV-1a and splitmix64, computed elsewhere.
  const std::vector<float>& conv1 = values_of(a, "conv1.weight");
  CHECK(conv1[0] == -0x1.0e34b20000000p-2f);
  CHECK(conv1[1] == -0x1.07e2a00000000p-5f);
  CHECK(conv1[2] == -0x1.5f0d1e0000000p-3f);
  CHECK(conv1[3] == 0x1.4a60de0000000p-4f);
  // 16 channels of 3x3: uniform with variance 2 / 144
  const std::vector<float>& conv = values_of(a, "layer1.0.conv1.weight");
  double sum = 0, squares = 0;
  for (float v : conv) {
    CHECK(std::abs(v) <= std::sqrt(6.0 / 144) + 1e-6);
    sum += v;
    squares += double{v} * v;
  }
  CHECK(std::abs(sum / static_cast<double>(conv.size())) < 0.01);
  CHECK(squares / static_cast<double>(conv.size()) == doctest::Approx(2.0 / 144).epsilon(0.05));
}

TEST_CASE("random weights give logits of order 1 at any depth") {
  for (const std::string name :
       {"cifar10_resnet20", "cifar10_resnet1202", "resnet18", "resnet50", "resnext50_32x4d", "resnet50_v1",
        "preact_resnet18", "resnetv2_50", "resnet50d", "cifar10_preact_resnet20", "cifar10_mlperftiny_resnet8"}) {
    CAPTURE(name);
    ModelOptions options;
    options.size = name.starts_with("cifar") ? Hw{8, 8} : Hw{64, 64};
    const Model model = load(name, options);
    const std::vector<float> one = evaluate(model.graph, picture(model, 0), 2)[0].values;
    const std::vector<float> two = evaluate(model.graph, picture(model, 1), 2)[0].values;
    double squares = 0, differences = 0;
    for (size_t i = 0; i < one.size(); i++) {
      REQUIRE(std::isfinite(one[i]));
      squares += double{one[i]} * one[i];
      differences += (double{one[i]} - two[i]) * (double{one[i]} - two[i]);
    }
    const auto count = static_cast<double>(one.size());
    CHECK(std::sqrt(squares / count) > 0.1);
    CHECK(std::sqrt(squares / count) < 10);
    CHECK(std::sqrt(differences / count) > 0.001);  // two pictures differ
  }
}

TEST_CASE("loading takes time in proportion to depth") {
  const auto seconds = [](const char* name) {
    const auto start = std::chrono::steady_clock::now();
    load(name);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds("cifar10_resnet110");
  // 11 times the blocks; quadratic growth would be 121 times.
  CHECK(seconds("cifar10_resnet1202") < 50 * seconds("cifar10_resnet110"));
}

TEST_CASE("options change the topology") {
  ModelOptions options;
  options.size = Hw{112, 160};
  Model model = load("resnet18", options);
  CHECK(model.graph.nodes[0].type == image_type(112, 160, 3));
  CHECK(model.preprocess->crop_height == 112);
  CHECK(model.preprocess->crop_width == 160);
  CHECK(model.preprocess->resize_height == 128);  // 256 * 112 / 224
  options.size = Hw{321, 299};
  CHECK(load("resnet18", options).preprocess->resize_height == 342);  // 341.7
  model = load("digits_resnet8", options);
  CHECK(model.preprocess->resize == rn_resize_exact);
  CHECK(model.preprocess->resize_height == 321);
  CHECK(model.preprocess->resize_width == 299);

  options = {};
  options.no_head = true;
  model = load("resnet18", options);
  CHECK_FALSE(model.has_head);
  CHECK(model.labels.empty());
  CHECK(model.graph[model.graph.outputs[0]].type == image_type(7, 7, 512));

  const TemporaryFolder folder;
  options = {};
  options.classes = 3;
  CHECK(load("cifar10_resnet20", options).labels.empty());
  options.labels = folder.write("three.txt", "red\r\ngreen\nblue");
  model = load("cifar10_resnet20", options);
  CHECK(model.labels == std::vector<std::string>{"red", "green", "blue"});
  CHECK(model.graph[model.graph.outputs[0]].type == vector_type(3));
  options.classes = 10;
  options.labels.clear();
  CHECK(load("cifar10_resnet20", options).labels.size() == 10);
}

TEST_CASE("options that do not fit are refused") {
  const auto says = [](const ModelOptions& options) { return message_of([&] { load("cifar10_resnet20", options); }); };
  ModelOptions size;
  size.size = Hw{0, 32};
  CHECK(says(size) == "--size 0x32: height and width must be from 1 to 8192");
  size.size = Hw{32, 8193};
  CHECK(says(size) == "--size 32x8193: height and width must be from 1 to 8192");
  ModelOptions classes;
  classes.classes = 0;
  CHECK(says(classes) == "--classes 0: must be from 1 to 65536");
  classes.classes = 10;
  classes.no_head = true;
  CHECK(says(classes) == "--classes 10: needs a head");
  ModelOptions labels;
  labels.labels = "x.txt";
  CHECK(says(labels) == "x.txt: there is no such file");
  labels.no_head = true;
  CHECK(says(labels) == "--labels x.txt: needs a head");
  const TemporaryFolder folder;
  labels.no_head = false;
  labels.labels = folder.write("l.txt", "a\nb\n");
  CHECK(says(labels) ==
        "--labels: " + labels.labels.string() + " has 2 labels for 10 classes; give one a line for every class");
  labels.labels = folder.write("l.txt", "a\n\nb\n");
  CHECK(says(labels) == labels.labels.string() + ": line 2: is empty; give every class a label");
  labels.labels = folder.write("l.txt", "a\nb\xff\n");
  CHECK(says(labels) == labels.labels.string() + ": line 2: is not UTF-8 text, or holds control characters");

  const std::string net = folder.write("n.json", R"({ "name": "n", "input": { "channels": 1, "height": 8, "width": 8 },
      "block": "basic", "stages": [ { "blocks": 1, "channels": 4 } ], "head": { "classes": 3, "labels": "two.txt" } })");
  folder.write("two.txt", "a\nb\n");
  CHECK(message_about(net, [&] { load_model(net, "random:1", {}); }) ==
        "head.labels: " + folder / "two.txt" + " has 2 labels for 3 classes");
}

TEST_CASE("trained nets load as they are and give the logits of the originals") {
  const char* shared = std::getenv("RESNETC_SHARED_DATA");
  if (!shared || !std::filesystem::exists(shared)) {
    MESSAGE("not run: set RESNETC_SHARED_DATA to the folder that holds models/cifar10_resnet20.safetensors");
    return;
  }
  const std::filesystem::path folder = shared;
  const auto weights = [&](const std::string& name) { return folder / "models" / (name + ".safetensors"); };
  const auto pixels = npy_values<uint8_t>(folder / "images/cifar10_test1000_u8.npy");
  const size_t images = std::getenv("RESNETC_LONG_TESTS") ? 1000 : 50, values = 32 * 32 * 3;
  REQUIRE(pixels.size() == 1000 * values);
  for (const std::string name : {"cifar10_resnet20", "cifar10_resnet20b", "cifar10_mlperftiny_resnet8"}) {
    CAPTURE(name);
    const Model model = load(name, {}, weights(name));
    const auto expected = npy_values<float>(folder / "expected" / (name + "_logits_test1000.npy"));
    REQUIRE(expected.size() == 1000 * 10);
    Tensor input{{static_cast<int>(images), 32, 32, 3}, {}};
    const rn_preprocess& how = *model.preprocess;
    for (size_t i = 0; i < images * values; i++)
      input.values.push_back(static_cast<float>((pixels[i] * how.scale - how.mean[i % 3]) / how.std[i % 3]));
    const std::vector<float> logits = evaluate(model.graph, input, 2)[0].values;
    float worst = 0;
    for (size_t i = 0; i < logits.size(); i++) worst = std::max(worst, std::abs(logits[i] - expected[i]));
    CHECK(worst < 5e-4f);

    ModelOptions no_head;
    no_head.no_head = true;
    CHECK_FALSE(load(name, no_head, weights(name)).has_head);
    ModelOptions classes;
    classes.classes = 12;
    const std::string head = name == "cifar10_resnet20" ? "linear" : "fc";
    CHECK(message_of([&] { load(name, classes, weights(name)); })
              .ends_with("tensor \"" + head +
                         ".weight\": has shape [10,64], but the topology needs [12,64]; give --classes 10 or another "
                         "file"));
  }
  // None belongs to another.
  CHECK(message_of([&] {
          load("cifar10_resnet20", {}, weights("cifar10_resnet20b"));
        }).ends_with("check that they belong together, and weights.names"));
}

TEST_CASE("a head of other classes is loaded with the rest of the weights") {
  const TemporaryFolder folder;
  // A net of one 1x1 convolution, of which the head is the bulk.
  const std::string net = folder.write("n.json", R"({ "name": "n", "input": { "channels": 2, "height": 1, "width": 1 },
    "stem": { "channels": 2, "kernel": 1 }, "block": "basic", "padding": "same", "batch_norm": false,
    "stages": [ { "blocks": 1, "channels": 2 } ], "head": { "classes": 1000 } })");
  const auto ones = [](size_t count) { return bytes_of(std::vector<float>(count, 1)); };
  const std::string weights =
      folder.write("n.safetensors", safetensors_bytes({
                                        {"conv1.weight", "F32", "[2,2,1,1]", bytes_of<float>({1, 2, 3, 4})},
                                        {"layer1.0.conv1.weight", "F32", "[2,2,3,3]", ones(36)},
                                        {"layer1.0.conv2.weight", "F32", "[2,2,3,3]", ones(36)},
                                        {"fc.weight", "F32", "[3,2]", bytes_of<float>({1, 0, 0, 1, 1, -1})},
                                        {"fc.bias", "F32", "[3]", bytes_of<float>({0.5f, 0, 0})},
                                    }));
  const Tensor input{{1, 1, 1, 2}, {1, 1}};
  ModelOptions options;
  options.classes = 3;
  // The stem makes 3 and 7, the block adds twice their sum to each.
  CHECK(evaluate(load_model(net, weights, options).graph, input)[0].values == std::vector<float>{23.5f, 27, -4});
  CHECK(message_about(weights, [&] { load_model(net, weights, {}); }) ==
        R"(tensor "fc.weight": has shape [3,2], but the topology needs [1000,2]; give --classes 3 or another file)");
  options = {};
  options.no_head = true;
  CHECK(evaluate(load_model(net, weights, options).graph, input)[0].values == std::vector<float>{23, 27});
}
