#include "compiler/tune/machine_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

}  // namespace

MachineLock::MachineLock(Use use, const std::filesystem::path& file) {
  const int operation = (use == time ? LOCK_EX : LOCK_SH) | LOCK_NB;
  for (;;) {
    descriptor_ = open_lock(file);
    try {
      while (descriptor_ >= 0 && flock(descriptor_, operation) != 0 && errno == EWOULDBLOCK) {
        check_interrupted();
        usleep(20'000);
      }
    } catch (...) {
      close(descriptor_);
      throw;
    }
    if (descriptor_ < 0 || is_in_place(descriptor_, file)) return;
    close(descriptor_);
  }
}

MachineLock::~MachineLock() {
  if (descriptor_ < 0) return;
  // By name, not by closing it: what a child has left running is no tuner's.
  flock(descriptor_, LOCK_UN);
  close(descriptor_);
}

}  // namespace resnetc
