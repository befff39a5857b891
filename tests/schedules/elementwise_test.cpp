// What elementwise.cpp has equals the reference evaluator, exactly, on integers.
#include <doctest/doctest.h>

#include "tests/schedules/check_kernel.h"

using namespace resnetc;
using namespace resnetc::test;

TEST_CASE("the other kernels equal the reference") {
  const auto with_border = [](TensorType type, int border) {
    type.border = all_sides(border);
    return type;
  };
  std::vector<KernelKey> keys;
  for (int channels : {16, 5}) {
    const TensorType image = image_type(7, 6, channels), bordered = with_border(image, 1), w = weight_type({channels});
    keys.push_back({Relu{}, {bordered}, image});
    keys.push_back({Relu{6}, {bordered}, image});
    keys.push_back({Relu{}, {vector_type(channels)}, vector_type(channels)});
    keys.push_back({Add{}, {image, bordered}, bordered});
    keys.push_back({Add{}, {vector_type(channels), vector_type(channels)}, vector_type(channels)});
    keys.push_back({Add{2, 2}, {image, image_type(14, 11, channels - 3)}, bordered});
    keys.push_back({ScaleShift{true}, {image, w, w}, bordered});
    keys.push_back({ScaleShift{false}, {bordered, w, w}, image});
    keys.push_back({MaxPool{{3, 3}, {2, 2}, all_sides(1)}, {bordered}, image_type(4, 3, channels)});
    keys.push_back({MaxPool{{2, 2}, {2, 2}, {0, 0, 1, 1}}, {image}, with_border(image_type(4, 3, channels), 1)});
    keys.push_back({AveragePool{{2, 2}, {2, 2}, {}}, {bordered}, image_type(3, 3, channels)});
    keys.push_back({AveragePool{{2, 2}, {2, 2}, {0, 0, 1, 0}}, {image}, with_border(image_type(4, 3, channels), 1)});
    keys.push_back({AveragePool{{3, 3}, {2, 2}, all_sides(1)}, {bordered}, image_type(4, 3, channels)});
    keys.push_back({AveragePool{{3, 5}, {4, 1}, {2, 0, 0, 4}}, {bordered}, image_type(2, 6, channels)});
    keys.push_back({GlobalAveragePool{}, {with_border(image_type(2, 4, channels), 1)}, vector_type(channels)});
    keys.push_back({Input{}, {}, with_border(image, 3)});
    keys.push_back({Output{}, {bordered}, image});
  }
  keys.push_back({Input{}, {}, with_border(image_type(11, 9, 3), 3)});
  for (const char* target : {"host", "x86-64-linux-sse41"})
    for (const KernelKey& key : keys)
      check_all_candidates(key, default_choice(key, machine_for(target, 2)).strategy.c_str(), target, 1);
}
