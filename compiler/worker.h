// The processes that resnetc starts to work for it: itself, with hidden commands.
#pragma once

#include <optional>

namespace resnetc {

// The exit status, if the command line is one of these: to compile a kernel or Halide's runtime, to time kernels, to
// describe a device. Throws Error.
std::optional<int> run_worker(int argc, char** argv);

}  // namespace resnetc
