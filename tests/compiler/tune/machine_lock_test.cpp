#include "compiler/tune/machine_lock.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "compiler/process.h"
#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;
using namespace resnetc;

namespace {

// Whether another could have the lock now: LOCK_SH, as for compiling, or LOCK_EX.
bool is_free(const fs::path& file, int operation) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  const bool got = flock(descriptor, operation | LOCK_NB) == 0;
  close(descriptor);
  return got;
}

}  // namespace

TEST_CASE("machine lock: several may compile, who times is alone") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  {
    const MachineLock one(MachineLock::compile, file), other(MachineLock::compile, file);
    CHECK(is_free(file, LOCK_SH));
    CHECK(!is_free(file, LOCK_EX));
  }
  {
    const MachineLock timing(MachineLock::time, file);
    CHECK(!is_free(file, LOCK_SH));
  }
  CHECK(is_free(file, LOCK_EX));
}

TEST_CASE("machine lock: who comes later waits") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  std::atomic<bool> has_it = false;
  std::thread later;
  {
    const MachineLock timing(MachineLock::time, file);
    later = std::thread([&] {
      const MachineLock compiling(MachineLock::compile, file);
      has_it = true;
    });
    usleep(50'000);
    CHECK(!has_it);
  }
  later.join();
  CHECK(has_it);
}

TEST_CASE("machine lock: one file for all users, wherever they keep temporary files") {
  CHECK(machine_lock_file.is_absolute());
  CHECK(machine_lock_file.string().find(std::to_string(getuid())) == std::string::npos);
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  const mode_t mask = umask(0077);
  { const MachineLock timing(MachineLock::time, file); }
  umask(mask);
  CHECK((fs::status(file).permissions() & fs::perms::others_read) != fs::perms::none);
  // A file that its user may only read.
  fs::permissions(file, fs::perms::owner_read);
  const MachineLock timing(MachineLock::time, file);
  CHECK(!is_free(file, LOCK_SH));
}

TEST_CASE("machine lock: what is no file is left alone, and a file that was removed is made anew") {
  const test::TemporaryFolder folder;
  const fs::path link = folder / "link", pipe = folder / "pipe", target = folder / "target", file = folder / "lock";
  fs::create_symlink(target, link);
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const fs::path& other : {link, pipe, fs::path(folder.path), fs::path(folder / "none/lock")})
    const MachineLock none(MachineLock::time, other);
  CHECK(!fs::exists(target));
  std::thread later;
  {
    const MachineLock timing(MachineLock::time, file);
    later = std::thread([&] { const MachineLock compiling(MachineLock::compile, file); });
    usleep(50'000);
    fs::remove(file);
  }
  later.join();
  CHECK(fs::exists(file));
}

TEST_CASE("machine lock: of a process that was killed, what it has started holds it to the end") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock", fifo = folder / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const pid_t tuner = fork();
  REQUIRE(tuner >= 0);
  if (tuner == 0) {
    const MachineLock timing(MachineLock::time, file);
    run_commands({{{"cat", fifo.string()}, {}}}, 1);
    _exit(1);
  }
  const int started = open(fifo.c_str(), O_WRONLY | O_CLOEXEC);  // waits until cat has opened it
  REQUIRE(started >= 0);
  kill(tuner, SIGKILL);
  REQUIRE(waitpid(tuner, nullptr, 0) == tuner);
  CHECK(!is_free(file, LOCK_SH));
  close(started);  // cat ends
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(flock(descriptor, LOCK_EX) == 0);
  close(descriptor);
}
