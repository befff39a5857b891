// Each pass against golden text and, exactly, against the reference evaluator on integers. A golden file
// tests/golden/<pass>/<case>.ir holds a graph, a line "# ----" and the graph after the pass; the folder `all` is for
// all passes in order. UPDATE_GOLDEN=1 rewrites the second part.
#include "compiler/passes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "ir/reference.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "schedules/machine.h"
#include "tests/support/fill_weights.h"

using namespace resnetc;

namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(RESNETC_SOURCE_DIR) / "tests" / "golden";
const std::string separator = "# ----\n";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Graph all_passes(const Graph& graph) {
  return run_passes(graph);
}

std::map<std::string, Graph (*)(const Graph&)> golden_folders() {
  std::map<std::string, Graph (*)(const Graph&)> result{{"all", all_passes}};
  for (const Pass& pass : passes) result.emplace(pass.name, pass.run);
  return result;
}

void check_golden(const fs::path& path, Graph (*run)(const Graph&)) {
  const std::string text = read(path);
  const size_t cut = std::min(text.find(separator), text.size());
  const std::string before = text.substr(0, cut);
  const Graph graph = parse(before), result = run(graph);
  CHECK(parse(print(graph)) == graph);
  CHECK(parse(print(result)) == result);
  CHECK(run(result) == result);

  if (std::getenv("UPDATE_GOLDEN")) {
    std::ofstream(path, std::ios::binary) << before << separator << print(result);
  } else {
    REQUIRE_MESSAGE(cut < text.size(), "holds no expected graph: run with UPDATE_GOLDEN=1");
    CHECK(text.substr(cut + separator.size()) == print(result));
  }

  const Graph with_values = fill_weights(graph);
  const Tensor input = integer_input(with_values, 3, 1);
  CHECK(evaluate(run(with_values), input) == evaluate(with_values, input));
}

const Node& node_named(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes)
    if (node.name == name) return node;
  throw std::out_of_range(name);
}

}  // namespace

TEST_CASE("passes: each golden graph becomes the text below it and computes the same") {
  size_t checked = 0;
  for (const auto& named : golden_folders()) {
    const std::string& folder = named.first;
    INFO("tests/golden/" << folder);
    REQUIRE_MESSAGE(fs::is_directory(golden / folder), "each pass has golden graphs");
    size_t cases = 0;
    std::set<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(golden / folder)) files.insert(entry.path());
    for (const fs::path& path : files) {
      INFO(path.filename().string());
      REQUIRE(path.extension() == ".ir");
      CHECK_NOTHROW(check_golden(path, named.second));
      cases++;
    }
    CHECK_MESSAGE(cases > 0, "each pass has golden graphs");
    checked += cases;
  }
  CHECK(checked >= 20);
}

TEST_CASE("passes: each golden folder is of a pass") {
  for (const fs::directory_entry& folder : fs::directory_iterator(golden)) {
    INFO(folder.path().string());
    CHECK(golden_folders().contains(folder.path().filename().string()));
  }
}

TEST_CASE("fold_batch_norm: weights are computed in double and rounded once") {
  Builder builder("fold");
  const auto weight = [&](const char* name, std::vector<float> values, std::vector<int> dims) {
    auto shared = std::make_shared<const std::vector<float>>(std::move(values));
    return builder.weight(name, {name, "", std::move(shared)}, weight_type(std::move(dims)));
  };
  const Value x = builder.input("x", image_type(1, 1, 2));
  const Value w = weight("conv.weight", {0.1f, -0.7f, 3.3f, 0.9f}, {2, 1, 1, 2});
  const Value b = weight("conv.bias", {0.3f, -1.1f}, {2});
  const std::vector<Value> norm{weight("bn.weight", {1.7f, -0.3f}, {2}), weight("bn.bias", {0.2f, 0.6f}, {2}),
                                weight("bn.running_mean", {-0.4f, 12.5f}, {2}),
                                weight("bn.running_var", {0.11f, 230.0f}, {2})};
  const Value conv = builder.add("conv", Conv2d{}, {x, w, b});
  const Value bn = builder.add("bn", BatchNorm{1e-3}, {conv, norm[0], norm[1], norm[2], norm[3]});
  const Value bn2 = builder.add("bn2", BatchNorm{1e-3}, {bn, norm[0], norm[1], norm[2], norm[3]});
  const auto values = [](const Graph& graph, const char* name) {
    return *std::get<Weight>(node_named(graph, name).op).values;
  };

  SUBCASE("into a convolution") {
    Builder copy = builder;
    const Graph folded = fold_batch_norm(std::move(copy).finish({bn}));
    const long double s0 = 1.7f / std::sqrt(0.11f + 1e-3L), s1 = -0.3f / std::sqrt(230.0f + 1e-3L);
    const std::vector<float> w_want{static_cast<float>(0.1f * s0), static_cast<float>(-0.7f * s0),
                                    static_cast<float>(3.3f * s1), static_cast<float>(0.9f * s1)};
    const std::vector<float> b_want{static_cast<float>(0.2f + (0.3f + 0.4f * 1.0L) * s0),
                                    static_cast<float>(0.6f + (-1.1f - 12.5f * 1.0L) * s1)};
    CHECK(values(folded, "conv.weight.folded") == w_want);
    CHECK(values(folded, "conv.bias.folded") == b_want);
  }
  SUBCASE("two in a row agree with the reference to rounding") {
    Builder copy = builder;
    const Graph plain = std::move(copy).finish({bn2}), folded = fold_batch_norm(plain);
    CHECK(folded.nodes.size() == 4);
    const Tensor input{{1, 1, 1, 2}, {0.37f, -2.9f}};
    const Tensor want = evaluate(plain, input)[0], got = evaluate(folded, input)[0];
    for (size_t i = 0; i < 2; i++) CHECK(std::abs(got.values[i] - want.values[i]) < 1e-5f * std::abs(want.values[i]));
  }
  SUBCASE("into a scale and a shift") {
    Builder copy = builder;
    const Graph folded = fold_batch_norm(std::move(copy).finish({conv, bn}));
    const long double s0 = 1.7f / std::sqrt(0.11f + 1e-3L), s1 = -0.3f / std::sqrt(230.0f + 1e-3L);
    CHECK(values(folded, "bn.weight.folded") == std::vector<float>{static_cast<float>(s0), static_cast<float>(s1)});
    CHECK(values(folded, "bn.bias.folded") ==
          std::vector<float>{static_cast<float>(0.2f + 0.4f * s0), static_cast<float>(0.6f - 12.5f * s1)});
  }
}

TEST_CASE("fuse_projection: weights stand side by side, biases are added, missing values stay missing") {
  const auto graph = [](bool all) {
    Builder builder("projection");
    const auto weight = [&](const char* name, std::vector<float> values, std::vector<int> dims) {
      auto shared = std::make_shared<const std::vector<float>>(std::move(values));
      return builder.weight(name, {name, "", all || name[0] == 'w' ? shared : nullptr}, weight_type(std::move(dims)));
    };
    const Value x = builder.input("x", image_type(2, 2, 1));
    const Value w = weight("w", {1, 2}, {2, 1, 1, 1}), b = weight("b", {3, 4}, {2});
    const Value v = weight("v", {5, 6, 7, 8}, {2, 1, 1, 2}), d = weight("d", {9, 10}, {2});
    const Value a = builder.add("a", Conv2d{}, {x, w, b});
    const Value shortcut = builder.add("shortcut", Conv2d{}, {a, v, d});
    const Value sum = builder.add("sum", Conv2d{{}, {}, {}, 1, {Add{}}}, {x, w, b, shortcut});
    return fuse_projection(std::move(builder).finish({sum}));
  };
  const Graph fused = graph(true);
  CHECK(*std::get<Weight>(node_named(fused, "w.joined").op).values == std::vector<float>{1, 5, 6, 2, 7, 8});
  CHECK(*std::get<Weight>(node_named(fused, "b.joined").op).values == std::vector<float>{12, 14});
  CHECK(!std::get<Weight>(node_named(graph(false), "w.joined").op).values);
  CHECK(!std::get<Weight>(node_named(graph(false), "b.joined").op).values);
  CHECK(print(graph(false)) == print(fused));
}

TEST_CASE("run_passes: devices keep the projection apart") {
  const std::string text = read(golden / "fuse_projection" / "stride.ir");
  const Graph graph = parse(text.substr(0, text.find(separator)));
  const auto projections = [&](Device device) {
    int count = 0;
    for (const Node& node : run_passes(graph, "", {DType::f32, device}).nodes)
      if (const auto* conv = std::get_if<Conv2d>(&node.op)) count += projection_of(*conv) != nullptr;
    return count;
  };
  CHECK(projections(Device::cpu) == 1);
  CHECK(projections(Device::opencl) == 0);
  CHECK(projections(Device::cuda) == 0);
}

TEST_CASE(
    "interleave_groups: rows of weights and channels of the next ones change places, missing values stay missing") {
  const std::string text = read(golden / "interleave_groups" / "project.ir");
  const Graph plain = parse(text.substr(0, text.find(separator)));
  const auto values = [](const Graph& graph, const char* name) {
    return std::get<Weight>(node_named(graph, name).op).values;
  };
  const Graph filled = fill_weights(plain), interleaved = interleave_groups(filled);
  // Two channels a group: channel 2 g + i goes to 16 i + g. Behind 32 channels are three that are projected.
  for (int g = 0; g < 16; g++)
    for (int i = 0; i < 2; i++) {
      const auto from = static_cast<size_t>(2 * g + i), to = static_cast<size_t>(16 * i + g);
      CHECK(values(interleaved, "reduce.bias")->at(to) == values(filled, "reduce.bias")->at(from));
      CHECK(values(interleaved, "grouped.weight")->at(to * 18 + 7) ==
            values(filled, "grouped.weight")->at(from * 18 + 7));
      CHECK(values(interleaved, "last.weight")->at(35 + to) == values(filled, "last.weight")->at(35 + from));
    }
  CHECK(values(interleaved, "last.weight")->at(35 + 33) == values(filled, "last.weight")->at(35 + 33));
  CHECK(*values(interleaved, "last.bias") == *values(filled, "last.bias"));
  CHECK(print(interleave_groups(plain)) == print(interleaved));
  CHECK(!values(interleave_groups(plain), "last.weight"));
}

TEST_CASE("run_passes: channels are interleaved for vectors of 16 lanes alone") {
  const std::string text = read(golden / "interleave_groups" / "bottleneck.ir");
  const Graph graph = parse(text.substr(0, text.find(separator)));
  const auto interleave = [&](const char* target) {
    const Graph result = run_passes(graph, "", pass_target(machine_for(target, 1)));
    return std::get<Conv2d>(node_named(result, "b").op).interleave;
  };
  CHECK(interleave("x86-64-linux-avx512_skylake") == 16);
  CHECK(interleave("x86-64-linux-avx2-fma") == 1);
  CHECK(interleave("x86-64-linux-avx512_skylake-opencl") == 1);
  CHECK(interleave("x86-64-linux-avx512_skylake-cuda") == 1);
}

// Graphs parsed from text have none.
TEST_CASE("fold_batch_norm: a missing value leaves what depends on it without values") {
  const Graph graph = fill_weights(parse(R"(graph g {
    %x = input : f32[n,2,2,1]
    %w = weight "c.weight" : f32[1,1,1,1]
    %b = weight "c.bias" : f32[1]
    %gamma = weight "bn.weight" : f32[1]
    %beta = weight "bn.bias" : f32[1]
    %mean = weight "bn.mean" : f32[1]
    %var = weight "bn.var" : f32[1]
    %y = conv2d(%x, %w, %b) : f32[n,2,2,1]
    %z = batch_norm(%y, %gamma, %beta, %mean, %var) epsilon=0 : f32[n,2,2,1]
    return %z
  })"));
  const auto has_values = [](const Graph& g, const char* name) {
    return std::get<Weight>(node_named(g, name).op).values != nullptr;
  };
  const Graph whole = fold_batch_norm(graph);
  CHECK(has_values(whole, "w.folded"));
  CHECK(has_values(whole, "b.folded"));
  for (const std::string missing : {"w", "b", "gamma", "beta", "mean", "var"}) {
    CAPTURE(missing);
    Graph partial = graph;
    for (Node& node : partial.nodes)
      if (node.name == missing) std::get<Weight>(node.op).values = nullptr;
    const Graph folded = fold_batch_norm(partial);
    CHECK(has_values(folded, "w.folded") == (missing == "b"));
    CHECK(has_values(folded, "b.folded") == (missing == "w"));
    CHECK(print(folded) == print(whole));
  }
}
