// Child processes: started without a shell, several at once, each with a time limit.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

struct Command {
  std::vector<std::string> argv;    // argv[0] is looked up in PATH unless it holds a slash
  std::filesystem::path directory;  // to run in and for temporary files; empty: this one and the usual one
  double time_limit_s = 600;
};

// In every child's environment, the process that started it.
inline constexpr const char* parent_variable = "RESNETC_PARENT";

struct CommandResult {
  int status = 0;  // the exit status, or 128 + the signal that ended it
  bool timed_out = false;
  std::string output;  // standard output
  std::string errors;  // standard error
  double seconds = 0;
  std::string stood = {};  // where its threads stood when it was stopped for its time limit
};

// Runs all, at most `jobs` at once, in order. done(i) is called as each ends, from this thread. Throws Error if a
// program is missing or the user interrupted; then no child is left behind, nor a child's child.
std::vector<CommandResult> run_commands(const std::vector<Command>& commands, int jobs,
                                        const std::function<void(size_t, const CommandResult&)>& done = {});

// Of a command that took longer than its limit.
class TimedOut : public Error {
 public:
  using Error::Error;
};

// Runs one. Throws Error with its messages unless it exits with 0.
CommandResult run_command(const Command& command);

// The error of a command that failed: what was run, how it ended, the first lines of what it said; where its threads
// stood if it hung, which tells one that works from one that waits for ever.
std::string describe_failure(const Command& command, const CommandResult& result);

// From now on SIGINT, SIGTERM and SIGHUP make run_commands and check_interrupted throw, and a reader of our messages
// that went away or a limit of file sizes is no reason to end: so temporary files always go.
void catch_interrupts();
void check_interrupted();
bool was_interrupted();

}  // namespace resnetc
