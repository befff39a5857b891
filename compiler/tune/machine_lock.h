// Keeps compiling and timing apart, over all tuners on this machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace resnetc {

// The same for every user and whatever TMPDIR says.
inline const std::filesystem::path machine_lock_file = "/tmp/resnetc-tune.lock";

// Others had the lock for longer than one would wait.
class MachineIsBusy : public Error {
 public:
  using Error::Error;
};

// Whether a place in /proc/locks, as "fe:00:5678", is the file with this device and inode. Where only one of the two
// devices is a disk, as with a file of an overlay, the inode says so alone.
bool is_place_of(std::string_view place, dev_t device, ino_t inode);

// What a terminal may be shown of another user's words: control characters are question marks.
std::string without_controls(std::string text);

class MachineLock {
 public:
  enum Use { compile, time };  // several may compile at once; who times is alone
  // Waits, overtaken by nobody who comes later, and says for whom when that takes longer than a moment, once for each
  // process. Throws Error when it is interrupted, MachineIsBusy after patience_s. Where no lock can be had, there is
  // none. Processes that are started while it lasts share it: if this one is killed, it lasts until the last of them
  // has ended.
  explicit MachineLock(Use use, double patience_s = std::numeric_limits<double>::infinity(),
                       const std::filesystem::path& file = machine_lock_file);
  ~MachineLock();
  MachineLock(const MachineLock&) = delete;
  MachineLock& operator=(const MachineLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace resnetc
