#include "compiler/process.h"

#include <doctest/doctest.h>

#include <cstdlib>

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

TEST_CASE("a command has a PATH where there is none, and else the one that there is") {
  const auto path_of_child = [] {
    const std::string variables = run_command({{"/usr/bin/env"}, {}, 60}).output;
    const size_t at = ("\n" + variables).find("\nPATH=");
    REQUIRE(at != std::string::npos);
    return variables.substr(at, variables.find('\n', at) - at);
  };
  const std::string own = std::getenv("PATH");
  unsetenv("PATH");
  CHECK(path_of_child() == "PATH=/usr/local/bin:/usr/bin:/bin");
  setenv("PATH", "/somewhere:/usr/bin", 1);
  CHECK(path_of_child() == "PATH=/somewhere:/usr/bin");
  setenv("PATH", own.c_str(), 1);
}
