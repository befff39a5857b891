#include "runtime/program/cache_size.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

TEST_CASE("cache_size: the largest that Linux lists") {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.path;
  int index = 0;
  for (const char* size : {"32K\n", "32K\n", "512K\n", "96M\n"}) {
    const std::filesystem::path cache = path / ("index" + std::to_string(index++));
    std::filesystem::create_directory(cache);
    std::ofstream(cache / "size") << size;
  }
  CHECK(program::last_level_cache_bytes(path) == size_t{96} << 20);
  std::ofstream(path / "index3" / "size") << "nonsense";
  CHECK(program::last_level_cache_bytes(path) == size_t{512} << 10);
}

TEST_CASE("cache_size: without /sys it is no more than a gibibyte") {
  CHECK(program::last_level_cache_bytes("/nonexistent") <= size_t{1} << 30);
}
