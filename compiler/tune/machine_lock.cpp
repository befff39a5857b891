#include "compiler/tune/machine_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "compiler/process.h"

namespace resnetc {

MachineLock::MachineLock(Use use) {
  const std::string file = std::filesystem::temp_directory_path() / fmt::format("resnetc-tune-{}.lock", getuid());
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  const int operation = (use == time ? LOCK_EX : LOCK_SH) | LOCK_NB;
  while (descriptor_ >= 0 && flock(descriptor_, operation) != 0 && errno == EWOULDBLOCK) {
    check_interrupted();
    usleep(20'000);
  }
}

MachineLock::~MachineLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace resnetc
