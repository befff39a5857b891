#include "compiler/tune/measure.h"

#include <doctest/doctest.h>

using namespace resnetc;

TEST_CASE("what failed by the machine may run another time, what crashes or cannot be compiled will not") {
  const auto temporary = [](int status, const std::string& errors, bool timed_out = false) {
    return is_temporary({status, timed_out, "", errors, 0}, "");
  };
  CHECK(temporary(137, "", true));
  CHECK(temporary(137, ""));  // by the kernel, out of memory
  CHECK(temporary(1, "resnetc: out of memory\n"));
  CHECK(temporary(134, "terminate called after throwing an instance of 'std::bad_alloc'\n"));
  CHECK(temporary(1, "LLVM ERROR: IO failure on output stream: No space left on device\n"));
  CHECK(temporary(1, "resnetc: /tmp/0.o: cannot write; is the disk full?\n"));
  CHECK(temporary(1, "ld: final link failed: File too large\n"));
  CHECK(is_temporary({1, false, "", "ld failed", 0}, "'ld' failed with status 1: ld failed; is the disk full?"));
  CHECK(!temporary(139, ""));
  CHECK(!temporary(134, "Internal error at Bounds.cpp\n"));
  CHECK(!temporary(1, "Error: the schedule is not valid\n"));
}
