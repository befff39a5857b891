#include "compiler/cold_weights.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("weights are timed cold where they outgrow half of the cache") {
  CHECK(!are_cold(500, 1000));
  CHECK(are_cold(501, 1000));
  CHECK(are_cold(1, 0));
}

TEST_CASE("the weights of a graph are counted in the bytes that they are stored in") {
  Graph graph;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    graph.nodes.push_back({"weight", Weight{}, {}, weight_type({4, 3, 3, 2}, dtype)});
  }
  graph.nodes.push_back({"relu", Relu{}, {}, image_type(8, 8, 4)});
  CHECK(weight_bytes(graph) == 4 * 3 * 3 * 2 * (4 + 2));
}
