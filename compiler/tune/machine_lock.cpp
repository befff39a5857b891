#include "compiler/tune/machine_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "compiler/clock.h"
#include "compiler/message.h"
#include "compiler/process.h"

namespace resnetc {
namespace {

// A regular file of anybody's; what else may lie there, a link or a pipe, is left alone. Children inherit it.
int open_lock(const std::filesystem::path& file) {
  // Without O_CREAT first: in a folder that all may write to, Linux refuses it for a file of another user.
  constexpr int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  int descriptor = open(file.c_str(), how);
  if (descriptor < 0 && errno == ENOENT) {
    descriptor = open(file.c_str(), how | O_CREAT | O_EXCL, 0644);
    if (descriptor >= 0) fchmod(descriptor, 0644);  // whatever the umask: others are to open it
    if (descriptor < 0 && errno == EEXIST) descriptor = open(file.c_str(), how);
  }
  struct stat status = {};
  if (descriptor >= 0 && (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

// It may have been removed meanwhile, and made anew by another.
bool is_in_place(int descriptor, const std::filesystem::path& file) {
  struct stat own = {}, there = {};
  return fstat(descriptor, &own) == 0 && stat(file.c_str(), &there) == 0 && own.st_dev == there.st_dev &&
         own.st_ino == there.st_ino;
}

// Those that took a lock of the file, as far as /proc/locks shows them: who works in another container is not there.
std::vector<pid_t> holders_of(const std::filesystem::path& file) {
  struct stat own = {};
  if (stat(file.c_str(), &own) != 0) return {};
  std::vector<pid_t> holders;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"; of one that waits, "1: -> FLOCK …".
    std::istringstream words(line);
    std::string number, kind, how, what, place;
    pid_t process = 0;
    if (!(words >> number >> kind >> how >> what >> process >> place) || kind != "FLOCK" || process <= 0) continue;
    if (is_place_of(place, own.st_dev, own.st_ino)) holders.push_back(process);
  }
  return holders;
}

std::string command_of(pid_t process) {
  constexpr size_t most = 120;
  std::string command;
  std::getline(std::ifstream(fmt::format("/proc/{}/cmdline", process)), command);
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return without_controls(command.size() > most ? command.substr(0, most) + " ..." : command);
}

std::string text_of(const std::vector<pid_t>& holders) {
  std::string text;
  for (const pid_t process : holders) {
    const std::string command = command_of(process);
    // Of one that was killed, its children have the lock.
    text += fmt::format("{}process {} ({})", text.empty() ? "" : ", ", process,
                        command.empty() ? "it has ended, what it started has not" : command);
  }
  return text.empty() ? "another process" : text;
}

// Two tuners wait for each other all the time: a line for each would hide all others.
void say_once(const std::vector<pid_t>& holders) {
  static std::set<pid_t> said;
  bool is_new = false;
  for (const pid_t process : holders.empty() ? std::vector<pid_t>{0} : holders) is_new |= said.insert(process).second;
  if (!is_new) return;
  const bool terminal = isatty(STDERR_FILENO) == 1;  // where progress may stand in the line
  print_message("{}waiting for {}, which compiles or times kernels\n", terminal ? "\r\033[K" : "", text_of(holders));
}

struct Patience {
  double seconds;
  Clock::time_point start;
  bool said = false;  // for whom one waits
};

void release_lock(int descriptor) {
  if (descriptor < 0) return;
  // By name, not by closing it: what a child has left running is no tuner's.
  flock(descriptor, LOCK_UN);
  close(descriptor);
}

// The descriptor of a lock, or -1 where none can be had. `machine` is the file whose holders are said.
int take_lock(const std::filesystem::path& lock, int operation, const std::filesystem::path& machine,
              Patience& patience) {
  constexpr double seconds_until_said = 1;
  for (;;) {
    const int descriptor = open_lock(lock);
    try {
      while (descriptor >= 0 && flock(descriptor, operation | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        check_interrupted();
        const double waited = seconds_since(patience.start);
        if (waited >= patience.seconds)
          throw MachineIsBusy(fmt::format("no time left: {} has the machine", text_of(holders_of(machine))));
        if (waited >= seconds_until_said && !std::exchange(patience.said, true)) say_once(holders_of(machine));
        usleep(20'000);
      }
    } catch (...) {
      close(descriptor);
      throw;
    }
    if (descriptor < 0 || is_in_place(descriptor, lock)) return descriptor;
    close(descriptor);
  }
}

}  // namespace

bool is_place_of(std::string_view place, dev_t device, ino_t inode) {
  unsigned major_number = 0, minor_number = 0;
  unsigned long long number = 0;
  if (std::sscanf(std::string(place).c_str(), "%x:%x:%llu", &major_number, &minor_number, &number) != 3) return false;
  const bool is_disk = major_number != 0, own_is_disk = major(device) != 0;
  return number == inode &&
         (is_disk != own_is_disk || (major_number == major(device) && minor_number == minor(device)));
}

std::string without_controls(std::string text) {
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<unsigned char>(text[i]), before = static_cast<unsigned char>(i > 0 ? text[i - 1] : 0);
    // Behind 0xc2: U+0080 to U+009F, which are controls too.
    if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte < 0xa0)) text[i] = '?';
  }
  return text;
}

MachineLock::MachineLock(Use use, double patience_s, const std::filesystem::path& file) {
  Patience patience{patience_s, Clock::now()};
  // Who waits holds this file's lock alone, so that nobody overtakes: without it a tuner that compiles, times and
  // compiles again left the machine for microseconds at a time, between two looks of the one that waits.
  const int turn = take_lock(file.string() + ".turn", LOCK_EX, file, patience);
  try {
    descriptor_ = take_lock(file, use == time ? LOCK_EX : LOCK_SH, file, patience);
  } catch (...) {
    release_lock(turn);
    throw;
  }
  release_lock(turn);
}

MachineLock::~MachineLock() {
  release_lock(descriptor_);
}

}  // namespace resnetc
