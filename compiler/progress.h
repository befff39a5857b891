// How far a long step is: a line that is redrawn on a terminal, plain lines of what is done elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace resnetc {

class Progress {
 public:
  Progress(std::string what, size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance();

 private:
  std::string what_;
  size_t total_, done_ = 0;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  void draw() const;
};

}  // namespace resnetc
