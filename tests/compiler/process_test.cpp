#include "compiler/process.h"

#include <doctest/doctest.h>

using namespace resnetc;

namespace {

std::string failure_of(const std::string& script) {
  try {
    run_command({{"sh", "-c", script}, {}, 0.25});
  } catch (const TimedOut& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("of a command that hung it is said how long it had and where its threads stood") {
  const std::string asleep = failure_of("exec sleep 100");
  CHECK(asleep.find("'sh' took longer than 0.3 s and was stopped; its threads: S after 0.0 s of CPU time") == 0);
  const std::string busy = failure_of("while :; do :; done");
  CHECK(busy.find("its threads: R after ") != std::string::npos);
}

TEST_CASE("a command that fails in time has not timed out") {
  CHECK_THROWS_WITH_AS(run_command({{"sh", "-c", "echo reason >&2; exit 3"}, {}, 60}),
                       "'sh' failed with status 3: reason", Error);
  CHECK(failure_of("exit 0") == "");
}

TEST_CASE("a command whose folder is gone is not said to be missing itself") {
  CHECK_THROWS_WITH_AS(run_command({{"sh", "-c", "exit 0"}, "/nonexistent/folder", 60}),
                       "/nonexistent/folder: the working folder is gone", Error);
  CHECK_THROWS_WITH_AS(run_command({{"/nonexistent/command"}, {}, 60}),
                       "cannot run '/nonexistent/command': No such file or directory; is it installed and in PATH?",
                       Error);
}
