// Keeps compiling and timing apart, over all tuners of this user on this machine.
#pragma once

namespace resnetc {

class MachineLock {
 public:
  enum Use { compile, time };  // several may compile at once; who times is alone
  // Waits. Throws Error when it is interrupted. Where no lock can be had, there is none.
  explicit MachineLock(Use use);
  ~MachineLock();
  MachineLock(const MachineLock&) = delete;
  MachineLock& operator=(const MachineLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace resnetc
