#include "ir/rewrite.h"

#include <doctest/doctest.h>

#include "ir/text.h"

using namespace resnetc;

namespace {

const Graph graph = parse(R"(graph g {
  %x = input : f32[n,4,4,2]
  %w = weight "w" : f32[2,1,1,2]
  %b = weight "b" : f32[2]
  %y = conv2d(%x, %w, %b) | relu : f32[n,4,4,2] border=1
  %dead = relu(%y) : f32[n,4,4,2]
  %z = relu(%y) : f32[n,4,4,2]
  %s = add(%z, %x) : f32[n,4,4,2]
  return %s, %z
})");

std::optional<Value> keep(Rewriter&, Value) {
  return std::nullopt;
}

}  // namespace

TEST_CASE("rewrite: a rule that changes nothing copies what the outputs reach") {
  const Graph same = rewrite(graph, keep);
  CHECK(print(same) == R"(graph g {
  %x = input : f32[n,4,4,2]
  %w = weight "w" : f32[2,1,1,2]
  %b = weight "b" : f32[2]
  %y = conv2d(%x, %w, %b) | relu : f32[n,4,4,2] border=1
  %z = relu(%y) : f32[n,4,4,2]
  %s = add(%z, %x) : f32[n,4,4,2]
  return %s, %z
}
)");
  CHECK(rewrite(same, keep) == same);
  CHECK(without_dead_nodes(graph) == same);
}

TEST_CASE("rewrite: uses count outputs and live readers only") {
  rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const std::string& name = rewriter.from[value].name;
    CHECK(name != "dead");
    const int uses = rewriter.uses[static_cast<size_t>(value)];
    CHECK(uses == (name == "x" || name == "z" ? 2 : 1));
    return std::nullopt;
  });
}

// relu(conv2d(..) | relu) -> conv2d(..) | relu
TEST_CASE("rewrite: readers and outputs follow a replaced value") {
  const Graph shorter = rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    if (!std::holds_alternative<Relu>(node.op)) return std::nullopt;
    return rewriter.map(node.inputs[0]);
  });
  CHECK(print(shorter) == R"(graph g {
  %x = input : f32[n,4,4,2]
  %w = weight "w" : f32[2,1,1,2]
  %b = weight "b" : f32[2]
  %y = conv2d(%x, %w, %b) | relu : f32[n,4,4,2] border=1
  %s = add(%y, %x) : f32[n,4,4,2]
  return %s, %y
}
)");
}

TEST_CASE("rewrite: what a rule adds is typed, named apart, and dropped with its last reader") {
  const Graph longer = rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    const Node& node = rewriter.from[value];
    if (!std::holds_alternative<Add>(node.op)) return std::nullopt;
    rewriter.to.add("unread", Relu{}, {rewriter.map(node.inputs[0])});
    const Value relu = rewriter.to.add("z", Relu{}, {rewriter.map(node.inputs[0])});
    CHECK(rewriter.node(relu).name == "z.2");
    return rewriter.to.add(node.name, node.op, {relu, rewriter.map(node.inputs[1])});
  });
  CHECK(print(longer).find("unread") == std::string::npos);
  CHECK(print(longer).find("  %z.2 = relu(%z) : f32[n,4,4,2]\n  %s = add(%z.2, %x)") != std::string::npos);
}

TEST_CASE("rewrite: the input may be what is left") {
  const Graph constant = rewrite(graph, [](Rewriter& rewriter, Value value) -> std::optional<Value> {
    if (rewriter.from[value].name != "s" && rewriter.from[value].name != "z") return std::nullopt;
    return rewriter.map(0);
  });
  CHECK(print(constant) == "graph g {\n  %x = input : f32[n,4,4,2]\n  return %x, %x\n}\n");
}
