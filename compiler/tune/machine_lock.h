// Keeps compiling and timing apart, over all tuners on this machine.
#pragma once

#include <filesystem>
#include <limits>

#include "ir/graph.h"

namespace resnetc {

// The same for every user and whatever TMPDIR says.
inline const std::filesystem::path machine_lock_file = "/tmp/resnetc-tune.lock";

// Others had the lock for longer than one would wait.
class MachineIsBusy : public Error {
 public:
  using Error::Error;
};

class MachineLock {
 public:
  enum Use { compile, time };  // several may compile at once; who times is alone
  // Waits, and says for whom when that takes longer than a moment, once for each process. Throws Error when it is
  // interrupted, MachineIsBusy after patience_s. Where no lock can be had, there is none. Processes that are started
  // while it lasts share it: if this one is killed, it lasts until the last of them has ended.
  explicit MachineLock(Use use, double patience_s = std::numeric_limits<double>::infinity(),
                       const std::filesystem::path& file = machine_lock_file);
  ~MachineLock();
  MachineLock(const MachineLock&) = delete;
  MachineLock& operator=(const MachineLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace resnetc
