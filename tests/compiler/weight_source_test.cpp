#include "compiler/weight_source.h"

#include <cmath>

#include "ir/bf16.h"
#include "ir/reference.h"
#include "tests/compiler/front_end.h"
#include "tests/runtime/temporary_folder.h"

namespace {

using namespace resnetc;
using namespace resnetc::test;

// conv (3x2 kernel, 2 -> 2 channels) -> batch norm -> average -> fc
Graph small_graph() {
  Builder b("small");
  const auto weight = [&](const std::string& name, std::vector<int> dims) {
    return b.weight(name, Weight{name, "", nullptr}, weight_type(std::move(dims)));
  };
  Value x = b.input("input", image_type(3, 2, 2));
  x = b.add("conv", Conv2d{}, {x, weight("conv.weight", {2, 3, 2, 2})});
  const Value gamma = weight("bn.weight", {2}), beta = weight("bn.bias", {2});
  const Value mean = weight("bn.running_mean", {2}), variance = weight("bn.running_var", {2});
  x = b.add("bn", BatchNorm{}, {x, gamma, beta, mean, variance});
  x = b.add("avgpool", GlobalAveragePool{}, {x});
  const Value fc = weight("fc.weight", {3, 2}), bias = weight("fc.bias", {3});
  x = b.add("fc", Dense{}, {x, fc, bias});
  return std::move(b).finish({x});
}

std::vector<float> count_up(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = static_cast<float>(i);
  return values;
}

std::vector<TensorToWrite> small_tensors() {
  return {
      {"conv.weight", "F32", "[2,2,3,2]", bytes_of(count_up(24))},
      {"bn.weight", "F32", "[2]", bytes_of<float>({1, 2})},
      {"bn.bias", "BF16", "[2]", bytes_of<uint16_t>({0x3f80, 0x4000})},
      {"bn.running_mean", "F16", "[2]", bytes_of<uint16_t>({0x3c00, 0x4000})},
      {"bn.running_var", "F32", "[2]", bytes_of<float>({0, 4})},
      {"bn.num_batches_tracked", "I64", "[]", bytes_of<int64_t>({9})},
      {"fc.weight", "F32", "[3,2]", bytes_of(count_up(6))},
      {"fc.bias", "F32", "[3]", bytes_of<float>({7, 8, 9})},
  };
}

const WeightLoading with_head{false, "fc.", {}, true}, without_head{false, "fc.", {}, false},
    ignoring_extra{true, "fc.", {}, true};

const std::vector<float>& values_of(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes)
    if (node.name == name) return *std::get<Weight>(node.op).values;
  FAIL(name);
  throw Error(name);
}

std::string problem(const std::vector<TensorToWrite>& tensors, const WeightLoading& how = with_head) {
  const TemporaryFolder folder;
  const std::string path = folder.write("w.safetensors", safetensors_bytes(tensors));
  return message_about(path, [&] {
    Graph graph = small_graph();
    load_weights(graph, parse_weight_source(path), how);
  });
}

// The small tensors, one changed or one added.
std::vector<TensorToWrite> with(const TensorToWrite& changed) {
  std::vector<TensorToWrite> tensors = small_tensors();
  for (TensorToWrite& tensor : tensors) {
    if (tensor.name != changed.name) continue;
    tensor = changed;
    return tensors;
  }
  tensors.push_back(changed);
  return tensors;
}

std::vector<TensorToWrite> without(std::initializer_list<std::string> names) {
  std::vector<TensorToWrite> tensors = small_tensors();
  for (const std::string& name : names)
    std::erase_if(tensors, [&](const TensorToWrite& tensor) { return tensor.name == name; });
  return tensors;
}

}  // namespace

TEST_CASE("a file's tensors come into the graph's layout") {
  const TemporaryFolder folder;
  Graph graph = small_graph();
  load_weights(graph, parse_weight_source(folder.write("w.safetensors", safetensors_bytes(small_tensors()))),
               with_head);
  const std::vector<float>& conv = values_of(graph, "conv.weight");
  REQUIRE(conv.size() == 24);
  for (size_t o = 0; o < 2; o++)
    for (size_t i = 0; i < 2; i++)
      for (size_t y = 0; y < 3; y++)
        for (size_t x = 0; x < 2; x++)
          CHECK(conv[((o * 3 + y) * 2 + x) * 2 + i] == static_cast<float>(((o * 2 + i) * 3 + y) * 2 + x));
  CHECK(values_of(graph, "bn.bias") == std::vector<float>{1, 2});
  CHECK(values_of(graph, "bn.running_mean") == std::vector<float>{1, 2});
  CHECK(values_of(graph, "fc.weight") == count_up(6));
}

TEST_CASE("a weight that is stored as bf16 gets rounded values") {
  const TemporaryFolder folder;
  const std::string file = folder.write("w.safetensors", safetensors_bytes(small_tensors()));
  Graph plain = small_graph(), stored = small_graph();
  for (Node& node : stored.nodes)
    if (node.name == "conv.weight") node.type.dtype = DType::bf16;
  for (const std::string& source : {std::string("random:3"), file}) {
    load_weights(plain, parse_weight_source(source), with_head);
    load_weights(stored, parse_weight_source(source), with_head);
    std::vector<float> rounded = values_of(plain, "conv.weight");
    round_to_bf16(rounded);
    CHECK(values_of(stored, "conv.weight") == rounded);
    if (source != file) CHECK(rounded != values_of(plain, "conv.weight"));
    CHECK(values_of(stored, "fc.weight") == values_of(plain, "fc.weight"));
  }
}

TEST_CASE("tensors that do not belong are refused") {
  const std::string belongs = "; check that the file belongs to the topology";
  CHECK(problem(small_tensors()) == "");
  CHECK(problem(without({"bn.bias"})) == R"(tensor "bn.bias": is missing; the topology needs it as [2])" + belongs);
  CHECK(problem(without({"conv.weight", "bn.bias", "fc.bias"})) ==
        R"(tensor "conv.weight": is missing; the topology needs it as [2,2,3,2], and 2 more that are missing too)" +
            belongs);
  std::vector<TensorToWrite> renamed = without({"fc.bias"});
  renamed.push_back({"linear.bias", "F32", "[3]", bytes_of(count_up(3))});
  CHECK(problem(renamed) ==
        R"(tensor "fc.bias": is missing; the topology needs it as [3]; the file has 1 that the topology does not use )"
        R"(("linear.bias"): check that they belong together, and weights.names)");

  CHECK(problem(with({"conv.weight", "F32", "[2,3,2,2]", bytes_of(count_up(24))})) ==
        R"(tensor "conv.weight": has shape [2,3,2,2], but the topology needs [2,2,3,2])" + belongs);
  CHECK(problem(with({"conv.weight", "F32", "[24]", bytes_of(count_up(24))})) ==
        R"(tensor "conv.weight": has shape [24], but the topology needs [2,2,3,2])" + belongs);
  CHECK(problem(with({"bn.bias", "F32", "[2,1]", bytes_of(count_up(2))})) ==
        R"(tensor "bn.bias": has shape [2,1], but the topology needs [2])" + belongs);
  CHECK(problem(with({"fc.weight", "F32", "[5,2]", bytes_of(count_up(10))})) ==
        R"(tensor "fc.weight": has shape [5,2], but the topology needs [3,2]; give --classes 5 or another file)");
  CHECK(problem(with({"fc.weight", "F32", "[3,4]", bytes_of(count_up(12))})) ==
        R"(tensor "fc.weight": has shape [3,4], but the topology needs [3,2])" + belongs);
  CHECK(problem(with({"bn.bias", "F64", "[2]", bytes_of<double>({1, 2})})) ==
        R"(tensor "bn.bias": has dtype F64; convert it to F32, F16 or BF16)");
}

TEST_CASE("left-over tensors are an error, a warning, or those of a dropped head") {
  std::vector<TensorToWrite> more = small_tensors();
  more.push_back({"num_batches_tracked", "F32", "[1]", bytes_of(count_up(1))});
  CHECK(problem(more) == "");
  for (const char* name : {"g", "f", "e", "d", "c"}) more.push_back({name, "I8", "[1]", "x"});
  const std::string unused = "the topology does not use 5 of the tensors: \"c\", \"d\", \"e\", \"f\", \"g\"";
  const std::string fix = "; check that the file belongs to the topology, or pass --ignore-extra";
  CHECK(problem(more) == unused + fix);
  more.push_back({"a", "I8", "[1]", "x"});
  CHECK(problem(more) == "the topology does not use 6 of the tensors: \"a\", \"c\", \"d\", \"e\", \"f\", …" + fix);
  CHECK(problem(more, ignoring_extra) == "");

  Graph graph = small_graph();
  graph.nodes.resize(graph.nodes.size() - 3);
  graph.outputs = {static_cast<Value>(graph.nodes.size()) - 1};
  const TemporaryFolder folder;
  const std::string path = folder.write("w.safetensors", safetensors_bytes(small_tensors()));
  CHECK(message_about(path, [&] { load_weights(graph, parse_weight_source(path), with_head); }) ==
        "the topology does not use 2 of the tensors: \"fc.bias\", \"fc.weight\"" + fix);
  CHECK(message_about(path, [&] { load_weights(graph, parse_weight_source(path), without_head); }) == "");
}

TEST_CASE("tensors are found by the names that patterns give them") {
  std::vector<TensorToWrite> renamed = small_tensors();
  for (TensorToWrite& tensor : renamed) tensor.name = "module." + tensor.name;
  renamed[6].name = "classifier.weight";
  renamed[7].name = "classifier.bias";
  WeightLoading how = with_head;
  how.renames = {{"^module\\.", ""}, {"^classifier", "head"}, {"^head", "fc"}};
  CHECK(problem(renamed, how) == "");
  const TemporaryFolder folder;
  Graph graph = small_graph();
  load_weights(graph, parse_weight_source(folder.write("w.safetensors", safetensors_bytes(renamed))), how);
  CHECK(values_of(graph, "fc.bias") == std::vector<float>{7, 8, 9});
  CHECK(values_of(graph, "bn.running_mean") == std::vector<float>{1, 2});

  // A dropped head is known by its new name, messages say the file's.
  Graph body = small_graph();
  body.nodes.resize(body.nodes.size() - 3);
  body.outputs = {static_cast<Value>(body.nodes.size()) - 1};
  WeightLoading dropped = how;
  dropped.has_head = false;
  const std::string path = folder.write("w.safetensors", safetensors_bytes(renamed));
  CHECK(message_about(path, [&] { load_weights(body, parse_weight_source(path), dropped); }) == "");
  const std::string belongs = "; check that the file belongs to the topology";
  CHECK(message_about(path, [&] { load_weights(body, parse_weight_source(path), how); }) ==
        R"(the topology does not use 2 of the tensors: "classifier.bias" as "fc.bias", "classifier.weight" as )"
        R"("fc.weight")" +
            belongs + ", or pass --ignore-extra");
  renamed[1].shape = "[1,2]";
  CHECK(problem(renamed, how) == R"(tensor "module.bn.weight": has shape [1,2], but the topology needs [2])" + belongs);
  renamed[1].shape = "[2]";
  renamed[6] = {"classifier.weight", "F32", "[5,2]", bytes_of(count_up(10))};
  CHECK(
      problem(renamed, how) ==
      R"(tensor "classifier.weight": has shape [5,2], but the topology needs [3,2]; give --classes 5 or another file)");
  renamed[6].name = "clasifier.weight";
  CHECK(problem(renamed, how) ==
        R"(tensor "fc.weight": is missing; the topology needs it as [3,2]; the file has 1 that the topology does not )"
        R"(use ("clasifier.weight"): check that they belong together, and weights.names)");
}

TEST_CASE("patterns that give no good names are refused") {
  WeightLoading how = with_head;
  how.renames = {{"^bn\\.", "conv."}};
  CHECK(
      problem(small_tensors(), how) ==
      R"(tensor "bn.weight": becomes "conv.weight" by weights.names, as tensor "conv.weight" does; make its patterns )"
      "tell them apart");
  // Counters count for nothing, here too.
  std::vector<TensorToWrite> counters = small_tensors();
  counters.push_back({"fc.num_batches_tracked", "I64", "[]", bytes_of<int64_t>({9})});
  how.renames = {{".*tracked", "x"}};
  CHECK(problem(counters, how) == "");

  const std::string too_long = "a name of more than 512 characters cannot go through weights.names";
  how.renames = {{"x", "y"}};
  const std::string name(513, 'a');
  CHECK(problem(with({name, "I8", "[1]", "x"}), how) == "tensor \"" + name.substr(0, 120) + "…\": " + too_long);
  how.renames = {{"(.*)weight", "$1$1$1$1$1$1$1$1weight"}};
  for (int i = 0; i < 4; i++) how.renames.push_back(how.renames[0]);
  CHECK(problem(small_tensors(), how) == R"(tensor "conv.weight": )" + too_long);

  // 500 characters by 32 patterns of 200 instructions, for each of 200 names
  std::string slow;
  for (int i = 0; i < 100; i++) slow += "a?";
  how.renames.assign(32, RenameRule(slow + "b", ""));
  std::vector<TensorToWrite> many = small_tensors();
  for (int i = 0; i < 200; i++) many.push_back({std::string(500, 'a') + std::to_string(i), "I8", "[1]", "x"});
  CHECK(problem(many, how) ==
        "tensor \"" + std::string(120, 'a') + "…\": the patterns of weights.names take too long; make them simpler");
}

TEST_CASE("a dense layer may have been saved as a convolution of one pixel") {
  CHECK(problem(with({"fc.weight", "F32", "[3,2,1,1]", bytes_of(count_up(6))})) == "");
  CHECK(problem(with({"fc.weight", "F32", "[5,2,1,1]", bytes_of(count_up(10))})) ==
        R"(tensor "fc.weight": has shape [5,2,1,1], but the topology needs [3,2]; give --classes 5 or another file)");
  CHECK(problem(with({"fc.weight", "F32", "[3,2,1]", bytes_of(count_up(6))})) ==
        R"(tensor "fc.weight": has shape [3,2,1], but the topology needs [3,2]; check that the file belongs to the )"
        "topology");
  CHECK(
      problem(with({"bn.bias", "F32", "[2,1,1]", bytes_of(count_up(2))})) ==
      R"(tensor "bn.bias": has shape [2,1,1], but the topology needs [2]; check that the file belongs to the topology)");
}

TEST_CASE("values that no trained net has are refused") {
  std::vector<float> values = count_up(24);
  values[17] = INFINITY;
  CHECK(problem(with({"conv.weight", "F32", "[2,2,3,2]", bytes_of(values)})) ==
        R"(tensor "conv.weight": element 17 is inf, which is not finite; repair or train the weights again)");
  CHECK(problem(with({"bn.weight", "F16", "[2]", bytes_of<uint16_t>({0x3c00, 0x7e00})})) ==
        R"(tensor "bn.weight": element 1 is nan, which is not finite; repair or train the weights again)");
  CHECK(problem(with({"bn.running_var", "F32", "[2]", bytes_of<float>({0, -0.5f})})) ==
        R"(tensor "bn.running_var": element 1 is -0.5, but a variance is never negative; repair or train the weights )"
        "again");
}

TEST_CASE("a seed is an unsigned 64-bit integer") {
  CHECK(parse_weight_source("random:0").seed == 0u);
  CHECK(parse_weight_source("random:18446744073709551615").seed == UINT64_MAX);
  CHECK(parse_weight_source("./random:0").file == "./random:0");
  for (const char* text : {"random:", "random:-1", "random:+1", "random: 1", "random:1 ", "random:1.0", "random:0x1",
                           "random:18446744073709551616"}) {
    CAPTURE(text);
    CHECK(message_of([&] { parse_weight_source(text); }) ==
          "--weights \"" + std::string(text) + "\": the seed must be an integer from 0 to 18446744073709551615");
  }
  CHECK(message_of([&] { parse_weight_source(""); }) ==
        "weights are missing: give --weights FILE.safetensors, or --weights random:SEED");
}
