#include "compiler/tune/machine_lock.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <thread>

#include "compiler/files.h"
#include "compiler/process.h"
#include "tests/runtime/temporary_folder.h"

namespace fs = std::filesystem;
using namespace resnetc;

namespace {

std::atomic<int> refused = 0;  // locks of files, by anybody in this program

}  // namespace

// In place of the C library's, for all of this program.
extern "C" int flock(int file, int operation) {
  const auto result = static_cast<int>(syscall(SYS_flock, file, operation));
  if (result != 0) refused++;
  return result;
}

namespace {

constexpr double for_ever = std::numeric_limits<double>::infinity();

// Until somebody has found a file locked, and does not have it: `got` stays false.
void wait_for_refusal(const std::atomic<bool>& got) {
  for (const int before = refused; refused == before && !got;) usleep(1'000);
}

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
    const MachineLock one(MachineLock::compile, for_ever, file), other(MachineLock::compile, for_ever, file);
    CHECK(is_free(file, LOCK_SH));
    CHECK(!is_free(file, LOCK_EX));
  }
  {
    const MachineLock timing(MachineLock::time, for_ever, file);
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
    const MachineLock timing(MachineLock::time, for_ever, file);
    later = std::thread([&] {
      const MachineLock compiling(MachineLock::compile, for_ever, file);
      has_it = true;
    });
    wait_for_refusal(has_it);
    CHECK(!has_it);
  }
  later.join();
  CHECK(has_it);
}

TEST_CASE("machine lock: nobody overtakes who waits") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  for (const MachineLock::Use use : {MachineLock::time, MachineLock::compile}) {
    std::atomic<bool> has_had_it = false;
    std::thread waiting;
    {
      const MachineLock compiling(MachineLock::compile, for_ever, file);
      waiting = std::thread([&] {
        const MachineLock timing(MachineLock::time, for_ever, file);
        has_had_it = true;
      });
      wait_for_refusal(has_had_it);
    }
    {
      const MachineLock again(use, for_ever, file);
      CHECK(has_had_it);
    }
    waiting.join();
  }
}

TEST_CASE("machine lock: one file for all users, whom it need not belong to") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  const mode_t mask = umask(0077);
  { const MachineLock timing(MachineLock::time, for_ever, file); }
  umask(mask);
  CHECK((fs::status(file).permissions() & fs::perms::others_read) != fs::perms::none);
  // A file that its user may only read; who is root becomes another user first, for root may do anything.
  fs::permissions(file, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  fs::permissions(folder.path, fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
  const pid_t other = fork();
  REQUIRE(other >= 0);
  if (other == 0) {
    if (chdir(folder.path.c_str()) != 0 || (geteuid() == 0 && setuid(65534) != 0)) _exit(2);
    if (open("lock", O_RDWR) >= 0) _exit(3);
    const MachineLock timing(MachineLock::time, for_ever, "lock");
    _exit(is_free("lock", LOCK_SH) ? 1 : 0);
  }
  int status = -1;
  REQUIRE(waitpid(other, &status, 0) == other);
  CHECK(status == 0);
}

TEST_CASE("machine lock: what is no file is left alone, and a file that was removed is made anew") {
  const test::TemporaryFolder folder;
  const fs::path link = folder / "link", pipe = folder / "pipe", target = folder / "target", file = folder / "lock";
  { const MachineLock made(MachineLock::time, for_ever, target); }
  fs::create_symlink(target, link);
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const fs::path& other : {link, pipe, fs::path(folder.path), fs::path(folder / "none/lock")}) {
    const MachineLock none(MachineLock::time, for_ever, other);
    CHECK(is_free(target, LOCK_EX));
  }
  std::atomic<bool> has_it = false, is_locked = false;
  std::thread later;
  {
    const MachineLock timing(MachineLock::time, for_ever, file);
    later = std::thread([&] {
      const MachineLock compiling(MachineLock::compile, for_ever, file);
      has_it = true;
      is_locked = fs::exists(file) && !is_free(file, LOCK_EX);
    });
    wait_for_refusal(has_it);  // of what is removed now
    fs::remove(file);
  }
  later.join();
  CHECK(is_locked);
}

TEST_CASE("machine lock: of a process that was killed, what it has started holds it to the end") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock", fifo = folder / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const pid_t tuner = fork();
  REQUIRE(tuner >= 0);
  if (tuner == 0) {
    const MachineLock timing(MachineLock::time, for_ever, file);
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

TEST_CASE("machine lock: who has waited long enough is told who has it") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock";
  const MachineLock timing(MachineLock::time, for_ever, file);
  for (const double patience_s : {0.0, -1.0, 0.05}) {
    std::string said;
    try {
      const MachineLock compiling(MachineLock::compile, patience_s, file);
    } catch (const MachineIsBusy& e) {
      said = e.what();
    }
    CHECK(said.find(fmt::format("process {} (", getpid())) != std::string::npos);
    CHECK(said.find("_test") != std::string::npos);  // the name of this program
  }
  // Its own is not the only file that is locked, and those that wait are no holders.
  const MachineLock elsewhere(MachineLock::time, 0, folder / "other");
}

TEST_CASE("machine lock: who waits says for whom, once for each process") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "lock", messages = folder / "messages";
  std::fflush(stderr);
  const int usual = dup(STDERR_FILENO), redirected = open(messages.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(dup2(redirected, STDERR_FILENO) == STDERR_FILENO);
  {
    const MachineLock timing(MachineLock::time, for_ever, file);
    for (int i = 0; i < 2; i++) CHECK_THROWS_AS(MachineLock(MachineLock::time, 1.2, file), MachineIsBusy);
  }
  dup2(usual, STDERR_FILENO);
  close(usual), close(redirected);
  const std::string said = read_file(messages);
  CHECK(said.find(fmt::format("waiting for process {} (", getpid())) == 0);
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
}

TEST_CASE("machine lock: a place in /proc/locks is a file by device and inode, by inode alone where one is no disk's") {
  const dev_t disk = makedev(0xfe, 0x10), overlay = makedev(0, 0x2f);
  CHECK(is_place_of("fe:10:5678", disk, 5678));
  CHECK(!is_place_of("fe:11:5678", disk, 5678));
  CHECK(!is_place_of("fd:10:5678", disk, 5678));
  CHECK(!is_place_of("fe:10:5679", disk, 5678));
  CHECK(is_place_of("00:2f:5678", disk, 5678));
  CHECK(is_place_of("fe:10:5678", overlay, 5678));
  CHECK(!is_place_of("00:30:5678", overlay, 5678));
  CHECK(!is_place_of("nothing", disk, 5678));
}

TEST_CASE("machine lock: what another user's process is called cannot move the cursor") {
  CHECK(without_controls("resnetc\x1b[2J\r\x7f") == "resnetc?[2J??");
  CHECK(without_controls("\xc2\x9b"
                         "2J \xc3\x9b.json") == "\xc2?2J \xc3\x9b.json");
}
