// The passes on random nets: what a net computes stays the same, exactly. About a second; RESNETC_LONG_TESTS: a minute.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "compiler/passes.h"
#include "ir/reference.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/fill_weights.h"
#include "tests/support/random_graph.h"

using namespace resnetc;

namespace {

// Calls check(seed) for the seeds from 0 until the time is up.
template <class Check>
void for_seeds(const Check& check) {
  const auto limit = std::chrono::milliseconds(std::getenv("RESNETC_LONG_TESTS") ? 60'000 : 1'000);
  const auto start = std::chrono::steady_clock::now();
  unsigned seed = 0;
  for (; seed < 300 || std::chrono::steady_clock::now() - start < limit; seed++) {
    CAPTURE(seed);
    REQUIRE_NOTHROW(check(seed));
  }
  MESSAGE(seed << " seeds");
}

// By bits but for the sign of zero, as == on floats compares.
void check_pass(Graph (*run)(const Graph&), const Graph& graph, const Graph& result, const Tensor& input,
                const std::vector<Tensor>& want) {
  REQUIRE_NOTHROW(verify(result));
  CHECK(evaluate(result, input) == want);
  CHECK(parse(print(result)) == result);
  CHECK(run(graph) == result);
  CHECK(run(result) == result);
}

Graph all_passes(const Graph& graph) {
  Graph result = graph;
  for (const Pass& pass : passes) result = pass.run(result);
  return result;
}

int reads(const Graph& graph, Value value) {
  int count = static_cast<int>(std::count(graph.outputs.begin(), graph.outputs.end(), value));
  for (const Node& node : graph.nodes)
    count += static_cast<int>(std::count(node.inputs.begin(), node.inputs.end(), value));
  return count;
}

// Whether any pass but fuse_max_pool could still do something, judged without the passes' code.
bool is_fully_fused(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (std::holds_alternative<BatchNorm>(node.op)) return false;
    if (node.inputs.empty() || reads(graph, node.inputs[0]) > 1) continue;
    const Op& from = graph[node.inputs[0]].op;
    const auto* conv = std::get_if<Conv2d>(&from);
    if (node.op == Op(Relu{}) && std::holds_alternative<ScaleShift>(from)) return false;
    if (std::holds_alternative<Dense>(node.op) && std::holds_alternative<GlobalAveragePool>(from)) return false;
    if (std::holds_alternative<Relu>(node.op) && conv && conv->epilogue.empty()) return false;
    if (std::holds_alternative<Add>(node.op) && conv && conv->epilogue.empty()) return false;
  }
  return true;
}

void check_borders(const Graph& graph) {
  for (size_t v = 0; v < graph.nodes.size(); v++) {
    Sides want;
    for (const Node& node : graph.nodes)
      if (const auto* conv = std::get_if<Conv2d>(&node.op); conv && node.inputs[0] == static_cast<Value>(v)) {
        want.top = std::max(want.top, conv->padding.top);
        want.left = std::max(want.left, conv->padding.left);
        want.bottom = std::max(want.bottom, conv->padding.bottom);
        want.right = std::max(want.right, conv->padding.right);
      }
    CHECK(graph.nodes[v].type.border == want);
  }
}

}  // namespace

TEST_CASE("passes: random nets compute the same after each pass and after all") {
  constexpr size_t pass_count = std::size(passes);
  std::array<int, pass_count> changed{};
  for_seeds([&](unsigned seed) {
    const Graph graph = random_graph(seed);
    REQUIRE_NOTHROW(verify(graph));
    CHECK(random_graph(seed) == graph);
    CHECK(parse(print(graph)) == graph);
    const Tensor input = integer_input(graph, 1 + static_cast<int>(seed % 3), seed);
    const std::vector<Tensor> want = evaluate(graph, input);

    for (size_t i = 0; i < pass_count; i++) {
      CAPTURE(passes[i].name);
      const Graph result = passes[i].run(graph);
      check_pass(passes[i].run, graph, result, input, want);
      for (size_t o = 0; o < graph.outputs.size(); o++)
        if (passes[i].name != "assign_borders") CHECK(result[result.outputs[o]].type == graph[graph.outputs[o]].type);
    }
    Graph fused = graph;
    for (size_t i = 0; i < pass_count; i++) {
      CAPTURE(passes[i].name);
      const Graph before = fused;
      fused = passes[i].run(before);
      changed[i] += fused != before;
      check_pass(passes[i].run, before, fused, input, want);
    }
    CHECK(all_passes(fused) == fused);
    CHECK(is_fully_fused(fused));
    check_borders(fused);
  });
  // Else the test would show nothing.
  for (size_t i = 0; i < pass_count; i++) {
    CAPTURE(passes[i].name);
    CHECK(changed[i] >= 5);
  }
}
