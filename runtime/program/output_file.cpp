#include "output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "error.h"

namespace resnetc::program {

namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(path + ": " + std::strerror(error));
}

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  interrupted = 1;
}

// SA_RESETHAND: a second signal ends a program that does not come to write. No SA_RESTART: a read that waits ends.
void catch_interrupts() {
  struct sigaction action = {}, old = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(number, nullptr, &old);
    if (old.sa_handler == SIG_DFL) sigaction(number, &action, nullptr);  // nohup ignores SIGHUP
  }
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), final_path_(path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    // Replacing /dev/null or a pipe by a file is never what was meant.
    if (!S_ISREG(status.st_mode)) throw Error(path_ + ": is not a regular file");
    // A link stays, and what it points to is replaced.
    const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
    if (real != nullptr) final_path_ = real.get();
  }
  catch_interrupts();
  temporary_path_ = final_path_ + ".tmp" + std::to_string(getpid());
  const int file = open(temporary_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) fail(errno == EEXIST ? temporary_path_ : path_, errno);
  file_.reset(fdopen(file, "wb"));
  if (file_ == nullptr) {
    close(file);
    unlink(temporary_path_.c_str());
    fail(path_, ENOMEM);
  }
}

OutputFile::~OutputFile() {
  if (file_ != nullptr) unlink(temporary_path_.c_str());
}

void OutputFile::write(const void* bytes, std::size_t size) {
  if (interrupted) throw Error("interrupted");
  if (std::fwrite(bytes, 1, size, file_.get()) != size) give_up(errno);
}

void OutputFile::go_to_start() {
  if (std::fseek(file_.get(), 0, SEEK_SET) != 0) give_up(errno);
}

void OutputFile::finish() {
  if (interrupted) throw Error("interrupted");
  const bool closed = std::fclose(file_.release()) == 0;
  if (!closed || std::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) give_up(errno);
}

void OutputFile::give_up(int error) {
  file_.reset();
  unlink(temporary_path_.c_str());
  fail(path_, error);
}

}  // namespace resnetc::program
