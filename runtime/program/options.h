// The command line of an emitted program.
#ifndef RESNETC_RUNTIME_PROGRAM_OPTIONS_H
#define RESNETC_RUNTIME_PROGRAM_OPTIONS_H

#include <stdexcept>
#include <string>
#include <vector>

namespace resnetc::program {

// Wrong usage: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Command { run, info, self_test, benchmark, profile, list_devices, licences, help, version };

struct Options {
  Command command = Command::run;
  int top = 5;
  int threads = 0;  // 0: as many as this process may use
  int batch = 1;
  int device = 0;         // of those that --list-devices lists
  bool fallback = false;  // to the CPU
  bool json = false;
  double benchmark_seconds = 0;
  double profile_seconds = 3;
  std::string input, output, dump_input;  // .npy files, "" if not asked for
  std::string html;                       // the page of --profile, "" if not asked for
  std::vector<std::string> images;        // files and directories
};

// arguments: without the program's name. on_device: whether the kernels run on a device that can be chosen. Throws
// UsageError.
Options parse_options(const std::vector<std::string>& arguments, bool on_device = false, bool can_fall_back = false);

// The text of --help, of a program of this name.
std::string help_text(const std::string& name, bool on_device = false, bool can_fall_back = false);

}  // namespace resnetc::program

#endif
