#include "compiler/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>

#include "compiler/clock.h"

extern char** environ;

namespace resnetc {
namespace {

volatile sig_atomic_t interrupted = 0;
void on_interrupt(int signal) {
  interrupted = signal;
}

// A compiler that finds no PATH does not find its own parts either.
constexpr const char* default_path = "PATH=/usr/local/bin:/usr/bin:/bin";

// This process's environment, with the parent and, unless it is empty, TMPDIR replaced.
std::vector<std::string> environment(const std::filesystem::path& temporary) {
  std::vector<std::string> replaced = {fmt::format("{}={}", parent_variable, getpid())}, result;
  if (!temporary.empty()) replaced.push_back("TMPDIR=" + temporary.string());
  if (!getenv("PATH")) replaced.emplace_back(default_path);
  const auto name = [](std::string_view variable) { return variable.substr(0, variable.find('=')); };
  for (char** each = environ; *each; each++)
    if (std::none_of(replaced.begin(), replaced.end(), [&](const auto& r) { return name(r) == name(*each); }))
      result.emplace_back(*each);
  result.insert(result.end(), replaced.begin(), replaced.end());
  return result;
}

// For posix_spawn; the strings must outlive it.
std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& each : strings) result.push_back(const_cast<char*>(each.c_str()));
  result.push_back(nullptr);
  return result;
}

std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

// Of each of its threads: the state, how long it has run, the call of the kernel that it is in. "" without /proc.
std::string where_threads_stand(pid_t pid) {
  constexpr int most = 8;
  std::string text;
  int count = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    const std::string stat = first_line(task.path() / "stat"), call = first_line(task.path() / "syscall");
    // After the name, in parentheses, which may hold anything: the state, 10 numbers, the ticks in user and kernel.
    std::istringstream fields(stat.substr(std::min(stat.rfind(')'), stat.size() - 1) + 1));
    std::string state, skipped;
    double user = 0, kernel = 0;
    fields >> state;
    for (int i = 0; i < 10; i++) fields >> skipped;
    if (!(fields >> user >> kernel) || ++count > most) continue;
    text += fmt::format("{}{} after {:.1f} s of CPU time", text.empty() ? "" : ", ", state,
                        (user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK)));
    if (!call.empty() && call != "running") text += " in system call " + call.substr(0, call.find(' '));
  }
  return count > most ? fmt::format("{} and {} more", text, count - most) : text;
}

// One running child, the leader of a process group of its own: compilers start more. Ending its life kills them all.
class Child {
 public:
  explicit Child(const Command& command);
  ~Child() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);
      // All of the group: the children of a dead child become this process's own, a subreaper's.
      while (waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
      }
    }
    for (int fd : {pidfd_, output_, errors_})
      if (fd >= 0) close(fd);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The descriptors to poll: exit, standard output, standard error.
  std::vector<pollfd> descriptors() const { return {{pidfd_, POLLIN, 0}, {output_, POLLIN, 0}, {errors_, POLLIN, 0}}; }

  // Takes what there is to read. True when the child has ended.
  bool progress(double time_limit_s);
  CommandResult result;

 private:
  pid_t pid_ = -1;
  int pidfd_ = -1, output_ = -1, errors_ = -1;
  Clock::time_point start_ = Clock::now();

  static void drain(int fd, std::string& into);
};

Child::Child(const Command& command) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) throw Error(fmt::format("cannot make a pipe: {}", strerror(errno)));
  output_ = out[0];
  if (pipe2(err, O_CLOEXEC) != 0) {
    close(out[1]);
    throw Error(fmt::format("cannot make a pipe: {}", strerror(errno)));
  }
  errors_ = err[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  if (!command.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, command.directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t ignored_here;
  sigemptyset(&ignored_here);
  sigaddset(&ignored_here, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &ignored_here);
  const std::vector<char*> argv = pointers(command.argv);
  const std::vector<std::string> variables = environment(command.directory);
  const int status = posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  if (status != 0) {
    pid_ = -1;
    if (status == ENOENT && !command.directory.empty() && access(command.directory.c_str(), X_OK) != 0)
      throw Error(fmt::format("{}: the working folder is gone", command.directory.string()));
    throw Error(fmt::format("cannot run '{}': {}; is it installed and in PATH?", command.argv[0], strerror(status)));
  }
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  for (int fd : {output_, errors_}) fcntl(fd, F_SETFL, O_NONBLOCK);
}

void Child::drain(int fd, std::string& into) {
  constexpr size_t most = 1 << 20;
  char buffer[4096];
  for (ssize_t got = read(fd, buffer, sizeof buffer); got > 0; got = read(fd, buffer, sizeof buffer))
    if (into.size() < most) into.append(buffer, static_cast<size_t>(got));
}

bool Child::progress(double time_limit_s) {
  drain(output_, result.output);
  drain(errors_, result.errors);
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) {
    if (seconds_since(start_) > time_limit_s && !result.timed_out) {
      result.timed_out = true;
      result.stood = where_threads_stand(pid_);
      kill(-pid_, SIGKILL);
    }
    return false;
  }
  pid_ = -1;
  drain(output_, result.output);
  drain(errors_, result.errors);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.seconds = seconds_since(start_);
  return true;
}

}  // namespace

void catch_interrupts() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // beyond a limit of file sizes a write then fails as on a full disk, in children too
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old = {};
    sigaction(signal, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);  // nohup ignores SIGHUP, a shell's & SIGINT
  }
}

bool was_interrupted() {
  return interrupted != 0;
}

void check_interrupted() {
  if (was_interrupted()) throw Error("interrupted");
}

std::vector<CommandResult> run_commands(const std::vector<Command>& commands, int jobs,
                                        const std::function<void(size_t, const CommandResult&)>& done) {
  std::vector<CommandResult> results(commands.size());
  std::vector<std::pair<size_t, std::unique_ptr<Child>>> running;
  size_t next = 0;
  while (next < commands.size() || !running.empty()) {
    check_interrupted();
    while (next < commands.size() && running.size() < static_cast<size_t>(std::max(jobs, 1))) {
      running.emplace_back(next, std::make_unique<Child>(commands[next]));
      next++;
    }
    std::vector<pollfd> descriptors;
    for (const auto& [index, child] : running)
      for (const pollfd& descriptor : child->descriptors()) descriptors.push_back(descriptor);
    // A pidfd is readable once its child has ended; half a second bounds how late a time limit may be seen.
    poll(descriptors.data(), descriptors.size(), 500);
    for (size_t i = 0; i < running.size();) {
      auto& [index, child] = running[i];
      if (!child->progress(commands[index].time_limit_s)) {
        i++;
        continue;
      }
      results[index] = std::move(child->result);
      if (done) done(index, results[index]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return results;
}

std::string describe_failure(const Command& command, const CommandResult& result) {
  if (result.timed_out)
    return fmt::format("'{}' took longer than {} s and was stopped{}{}", command.argv[0],
                       std::round(command.time_limit_s * 10) / 10,
                       result.stood.empty() ? "" : "; its threads: ", result.stood);
  std::string said = result.errors.substr(0, 2000);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (result.status > 128 && said.empty()) said = strsignal(result.status - 128);
  // Not every tool says so by itself: GNU ar gives "Success" as the reason.
  std::error_code error;
  const auto disk = std::filesystem::space(command.directory.empty() ? "." : command.directory, error);
  const bool full = !error && disk.available < uint64_t{1} << 20 && said.find("No space left") == std::string::npos;
  return fmt::format("'{}' failed with status {}{}{}{}", command.argv[0], result.status, said.empty() ? "" : ": ", said,
                     full ? "; is the disk full?" : "");
}

CommandResult run_command(const Command& command) {
  CommandResult result = run_commands({command}, 1).front();
  if (result.timed_out) throw TimedOut(describe_failure(command, result));
  if (result.status != 0) throw Error(describe_failure(command, result));
  return result;
}

}  // namespace resnetc
