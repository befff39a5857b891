#include "ir/verify.h"

#include <doctest/doctest.h>

#include <functional>

#include "ir/text.h"

using namespace resnetc;

namespace {

Graph small() {
  return parse(R"(graph g {
    %x = input : f32[n,4,4,2]
    %w = weight "w" : f32[2,1,1,2]
    %y = conv2d(%x, %w) : f32[n,4,4,2] border=1
    %z = relu(%y) : f32[n,4,4,2]
    return %z
  })");
}

std::string message_of(const Graph& graph) {
  try {
    verify(graph);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

struct Case {
  std::function<void(Graph&)> damage;
  std::string message;
};

Weight& weight_of(Graph& g) {
  return std::get<Weight>(g.nodes[1].op);
}

}  // namespace

TEST_CASE("verify: each broken invariant names its node") {
  CHECK(message_of(small()) == "no error");
  const auto values = [](size_t count) { return std::make_shared<const std::vector<float>>(count); };
  const std::vector<Case> cases = {
      {[](Graph& g) { g.nodes[3].name = "y"; }, "node %y: the name is used twice"},
      {[](Graph& g) { g.nodes[3].name = ""; }, "node %: a name may hold letters, digits, '_', '.' and '-' only"},
      {[](Graph& g) { g.nodes[3].name = "a b"; }, "node %a b: a name may hold letters, digits, '_', '.' and '-' only"},
      {[](Graph& g) { g.nodes[3].name = "a\x01\xff"; },
       "node %a??: a name may hold letters, digits, '_', '.' and '-' only"},
      {[](Graph& g) { g.name = "a b"; }, "graph a b: a name may hold letters, digits, '_', '.' and '-' only"},
      {[](Graph& g) { g.name = ""; }, "graph : a name may hold letters, digits, '_', '.' and '-' only"},
      {[](Graph& g) { g.nodes[3].inputs = {3}; }, "node %z: an operand is not defined before its use"},
      {[](Graph& g) { g.nodes[3].inputs = {-1}; }, "node %z: an operand is not defined before its use"},
      {[](Graph& g) { g.nodes[3].inputs = {99}; }, "node %z: an operand is not defined before its use"},
      {[](Graph& g) { g.nodes[3].inputs = {}; }, "node %z: relu: takes 1 operand, got 0"},
      {[](Graph& g) { g.nodes[3].type.dims = {}; }, "node %z: is f32[], but its operands make it f32[n,4,4,2]"},
      {[](Graph& g) { g.nodes[3].type.dims[1] = -1; }, "node %z: dimensions must be at least 1, got f32[n,n,4,2]"},
      {[](Graph& g) { g.nodes[0].type.dims[3] = 0; }, "node %x: dimensions must be at least 1, got f32[n,4,4,0]"},
      {[](Graph& g) {
         g.nodes[0].type.dims = {4, 4, 2};
       },
       "node %x: an input is an image without operands"},
      {[](Graph& g) {
         g.nodes[0].type.dims = {4, 4, 4, 2};
       },
       "node %x: an input is an image without operands"},
      {[](Graph& g) { g.nodes[1].type.dims[0] = -1; }, "node %w: a weight has no batch and no operands"},
      {[](Graph& g) { g.nodes[1].inputs = {0}; }, "node %w: a weight has no batch and no operands"},
      {[](Graph& g) { g.nodes[1].type.dims = {}; }, "node %w: a weight has at least one dimension"},
      {[](Graph& g) { g.nodes[1].type.border = all_sides(1); }, "node %w: only an image may have a border"},
      {[](Graph& g) { g.nodes[2].type.border.left = -1; }, "node %y: a border must not be negative"},
      {[](Graph& g) { g.nodes[2].type.border = all_sides(2147483647); },
       "node %y: f32[n,4,4,2] border=2147483647 has more than 2^31 - 1 elements"},
      {[](Graph& g) {
         g.nodes[1].type.dims = {65536, 65536, 65536, 65536};
       },
       "node %w: f32[65536,65536,65536,65536] has more than 2^31 - 1 elements"},
      {[&](Graph& g) { weight_of(g).values = values(3); }, "node %w: 3 values for f32[2,1,1,2]"},
      {[](Graph& g) {
         g.nodes[1].type.dtype = DType::bf16;
         weight_of(g).values = std::make_shared<const std::vector<float>>(std::vector{1.0f, 1.5f, 0.1f, 2.0f});
       },
       "node %w: a value of a bf16 weight is no bf16"},
      {[](Graph& g) { g.nodes[0].type.dtype = DType::bf16; }, "node %x: an activation is f32, got bf16[n,4,4,2]"},
      {[](Graph& g) { weight_of(g).sha256 = "a b"; }, "node %w: a SHA-256 is written in hexadecimal"},
      {[](Graph& g) { g.nodes[2].type.dims[3] = 3; },
       "node %y: is f32[n,4,4,3] border=1, but its operands make it f32[n,4,4,2]"},
      {[](Graph& g) { std::get<Conv2d>(g.nodes[2].op).groups = 3; },
       "node %y: conv2d: groups=3 must divide 2 input and 2 output channels"},
      {[](Graph& g) { g.outputs = {}; }, "graph g: returns nothing"},
      {[](Graph& g) { g.outputs = {1}; }, "graph g: an output must be an activation that is defined"},
      {[](Graph& g) { g.outputs = {4}; }, "graph g: an output must be an activation that is defined"},
      {[](Graph& g) { g.outputs = {-1}; }, "graph g: an output must be an activation that is defined"},
      {[](Graph& g) {
         g.nodes.push_back({"x2", Input{}, {}, image_type(1, 1, 1)});
       },
       "graph g: must have one input, has 2"},
      {[](Graph& g) { g.nodes.clear(); }, "graph g: must have one input, has 0"},
  };
  for (const Case& c : cases) {
    Graph graph = small();
    c.damage(graph);
    CHECK(message_of(graph) == c.message);
  }
  Graph graph = small();
  weight_of(graph).values = values(4);
  CHECK(message_of(graph) == "no error");
}
