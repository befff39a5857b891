#include "compiler/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "compiler/clock.h"
#include "compiler/message.h"

namespace resnetc {
Progress::Progress(std::string what, size_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {
  if (terminal_) draw();
}

Progress::~Progress() {
  if (terminal_) print_message("\r\033[K");
  if (done_ == total_) print_message("{}: {} in {:.1f} s\n", what_, total_, seconds_since(start_));
}

void Progress::advance() {
  done_++;
  if (terminal_) draw();
}

void Progress::draw() const {
  const double spent = seconds_since(start_);
  const std::string left =
      done_ == 0
          ? ""
          : fmt::format(", {:.0f} s left", spent / static_cast<double>(done_) * static_cast<double>(total_ - done_));
  constexpr size_t width = 24;
  const size_t filled = total_ == 0 ? width : width * done_ / total_;
  print_message("\r\033[K{} [{}{}] {}/{}{}", what_, std::string(filled, '#'), std::string(width - filled, '.'), done_,
                total_, left);
  std::fflush(stderr);
}

}  // namespace resnetc
