#include "compiler/message.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("one is counted otherwise than none and many") {
  CHECK(counted(0, "record") == "0 records");
  CHECK(counted(1, "record") == "1 record");
  CHECK(counted(2, "record") == "2 records");
}
