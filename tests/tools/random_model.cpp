// A random net (tests/support/random_graph.h) as files: FOLDER/random_SEED.json and .safetensors, and what the
// reference evaluator makes of inputs of integers, input.f32 and output.f32 (N x C x H x W, raw). Prints their shapes
// and the names of the CPU's strategies.
//
//   random_model SEED BATCH FOLDER [wide]
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "compiler/files.h"
#include "compiler/graph_json.h"
#include "compiler/safetensors_write.h"
#include "ir/reference.h"
#include "ir/rewrite.h"
#include "schedules/strategy.h"
#include "tests/support/fill_weights.h"
#include "tests/support/random_graph.h"

namespace {

using namespace resnetc;

// [a, height, width, b] -> [a, b, height, width]: of images and of kernels.
std::vector<float> channels_first(const std::vector<int>& dims, const std::vector<float>& values) {
  if (dims.size() != 4) return values;
  std::vector<float> result(values.size());
  const size_t pixels = static_cast<size_t>(dims[1]) * static_cast<size_t>(dims[2]),
               last = static_cast<size_t>(dims[3]);
  for (size_t i = 0; i < values.size(); i++) {
    const size_t c = i % last, pixel = i / last % pixels, n = i / last / pixels;
    result[(n * last + c) * pixels + pixel] = values[i];
  }
  return result;
}

std::vector<int64_t> channels_first(const std::vector<int>& dims) {
  if (dims.size() != 4) return {dims.begin(), dims.end()};
  return {dims[0], dims[3], dims[1], dims[2]};
}

void write_floats(const std::filesystem::path& file, const std::vector<float>& values) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
}

}  // namespace

int main(int argc, char** argv) {
  const bool wide = argc == 5 && std::string_view(argv[4]) == "wide";
  if (argc != 4 && !wide) return 2;
  const auto seed = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  const std::filesystem::path folder = argv[3];
  Graph graph = random_graph(seed, wide);
  graph.outputs.resize(1);
  graph = without_dead_nodes(graph);
  std::vector<TensorToWrite> tensors;
  for (Node& node : graph.nodes) {
    const auto* weight = std::get_if<Weight>(&node.op);
    if (!weight) continue;
    // A tensor for each node: random_graph may give several the same one.
    tensors.push_back({node.name, channels_first(node.type.dims),
                       std::make_shared<const std::vector<float>>(channels_first(node.type.dims, *weight->values))});
  }
  write_safetensors(folder / (graph.name + ".safetensors"), tensors);
  write_file(folder / (graph.name + ".json"), print_json(graph_to_json(graph)));
  const Tensor input = integer_input(graph, std::atoi(argv[2]), seed);
  const Tensor output = evaluate(graph, input).front();
  write_floats(folder / "input.f32", channels_first(input.dims, input.values));
  write_floats(folder / "output.f32", channels_first(output.dims, output.values));
  std::vector<std::string_view> names;
  for (const Strategy* strategy : strategies()) names.push_back(strategy->name);
  const nlohmann::json facts{{"name", graph.name},
                             {"input", channels_first(input.dims)},
                             {"output", channels_first(output.dims)},
                             {"strategies", names}};
  fmt::print("{}\n", facts.dump());
}
