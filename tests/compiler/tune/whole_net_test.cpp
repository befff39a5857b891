#include "compiler/tune/whole_net.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("a ratio is decided beyond its noise, or where little depends on it") {
  CHECK(is_decided({0.98, 0.01}));
  CHECK(is_decided({1.02, 0.01}));
  CHECK(!is_decided({0.995, 0.01}));
  CHECK(!is_decided({1.005, 0.01}));
  CHECK(is_decided({1.001, 0.002}));
}
