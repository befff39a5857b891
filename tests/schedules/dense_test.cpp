// Candidates of dense equal the reference evaluator, exactly, on integers.
#include <doctest/doctest.h>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("dense layers equal the reference") {
  for (bool average : {true, false})
    for (int oc : {10, 1, 64, 1000}) {
      const TensorType x = average ? image_type(4, 2, 24) : vector_type(19);
      KernelKey key{Dense{average}, {x, weight_type({oc, x.channels()}), weight_type({oc})}, vector_type(oc)};
      check_all_candidates(key, "dense", "host", 4);
      key.operands.pop_back();
      check_all_candidates(key, "dense", "x86-64-linux-sse41", 1);
    }
}
