#include "compiler/tune/measure.h"

#include <doctest/doctest.h>

#include "compiler/files.h"
#include "tests/runtime/temporary_folder.h"

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

TEST_CASE("the end of the budget shortens the limits of those steps alone that are longer") {
  const MeasureOptions options;
  CHECK(shortened(options.compile_limit_s, options.left_s).kind == OverLimit::of_step);
  CHECK(shortened(options.compile_limit_s, 40).kind == OverLimit::of_step);
  CHECK(shortened(options.compile_limit_s, 40).seconds == 30);
  CHECK(shortened(options.time_limit_s, 40).kind == OverLimit::of_budget);
  CHECK(shortened(options.time_limit_s, 40).seconds == 40);
}

TEST_CASE("who is to blame for a process's end is read from a file; nobody, where nothing ran") {
  const test::TemporaryFolder folder;
  const std::filesystem::path request = folder / "request.json";
  CHECK(running_object(request, 3) == 3);
  for (const int number : {-1, 0, 2, 3}) {
    write_file(running_object_file(request), {reinterpret_cast<const char*>(&number), sizeof number});
    CHECK(running_object(request, 3) == (number == -1 ? 3 : static_cast<size_t>(number)));
  }
  write_file(running_object_file(request), "");
  CHECK(running_object(request, 3) == 3);
}
