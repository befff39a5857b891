#include "compiler/weight_source.h"

#include <cmath>

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

const std::vector<float>& values_of(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes)
    if (node.name == name) return *std::get<Weight>(node.op).values;
  FAIL(name);
  throw Error(name);
}

std::string problem(const std::vector<TensorToWrite>& tensors, WeightLoading how = {false, "fc.", true}) {
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
               {false, "fc.", true});
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
  CHECK(problem(more, {true, "fc.", true}) == "");

  Graph graph = small_graph();
  graph.nodes.resize(graph.nodes.size() - 3);
  graph.outputs = {static_cast<Value>(graph.nodes.size()) - 1};
  const TemporaryFolder folder;
  const std::string path = folder.write("w.safetensors", safetensors_bytes(small_tensors()));
  CHECK(message_about(path, [&] {
          load_weights(graph, parse_weight_source(path), {false, "fc.", true});
        }) == "the topology does not use 2 of the tensors: \"fc.bias\", \"fc.weight\"" + fix);
  CHECK(message_about(path, [&] { load_weights(graph, parse_weight_source(path), {false, "fc.", false}); }) == "");
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
