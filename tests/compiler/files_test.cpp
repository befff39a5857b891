#include "compiler/files.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;

using namespace resnetc;
using resnetc::test::TemporaryFolder;

TEST_CASE("a folder that was just made is nobody's to remove") {
  // Each new one looks for abandoned ones first, so these look at each other's in every state.
  const TemporaryFolder folder;
  std::atomic<int> lost = 0;
  std::vector<std::thread> makers;
  for (int i = 0; i < 4; i++)
    makers.emplace_back([&] {
      for (int round = 0; round < 1000; round++) {
        const StagingFolder staging(folder / "out");
        std::this_thread::yield();
        lost += !fs::exists(staging.path());
      }
    });
  for (std::thread& maker : makers) maker.join();
  CHECK(lost == 0);
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("folders whose maker has ended are removed, others are not") {
  const TemporaryFolder folder;
  const fs::path output = folder / "out";
  // No process has this number: they end at 2^22.
  const fs::path abandoned = folder / ".out.resnetc-999999999", other = folder / ".other.resnetc-999999999";
  fs::create_directories(abandoned / "within");
  fs::create_directory(other);
  const StagingFolder first(output), second(output);
  CHECK_FALSE(fs::exists(abandoned));
  CHECK(fs::exists(other));
  CHECK(fs::exists(first.path()));
  CHECK(fs::exists(second.path()));
  CHECK(first.path() != second.path());
}
