#include "compiler/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "ir/graph.h"

namespace resnetc {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& path, const char* what) {
  throw Error(fmt::format("{}: cannot {}: {}", path.string(), what, strerror(errno)));
}

// ".NAME.resnetc-PID", and maybe "-N" behind it
std::string staging_prefix(const fs::path& output) {
  return fmt::format(".{}.resnetc-", output.filename().string());
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

// Whether the path still names the folder that was opened.
bool is_at(const fs::path& path, int folder) {
  struct stat opened = {}, named = {};
  return fstat(folder, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// Whoever works in a staging folder holds a lock on it, which ends with its process: another process may have the same
// number, in another container say. Where a file system has no locks, or for a file, the number must do. The lock is
// held until the folder is gone: whoever has just made it must not get it in between. It counts only for the folder
// that still has this name: who holds that one's lock is alone in removing it.
void remove_if_abandoned(const fs::path& path, pid_t pid) {
  const Descriptor folder{open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const bool is_locked = folder.number >= 0 && flock(folder.number, LOCK_EX | LOCK_NB) == 0;
  if (!is_locked) {
    if (folder.number >= 0 && errno == EWOULDBLOCK) return;
    if (kill(pid, 0) == 0 || errno != ESRCH) return;
  } else if (!is_at(path, folder.number)) {
    return;
  }
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void remove_abandoned(const fs::path& parent, const std::string& prefix) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t pid = 0;
    const char* end = name.data() + name.size();
    const char* stop = std::from_chars(name.data() + prefix.size(), end, pid).ptr;
    if ((stop != end && *stop != '-') || pid <= 0) continue;
    remove_if_abandoned(entry.path(), pid);
  }
}

// Makes a folder that nobody else has, and locks it; returns the descriptor that holds the lock.
int make_locked_folder(const std::string& base, fs::path& path) {
  for (int n = 1; n <= 100; n++) {
    path = n == 1 ? base : fmt::format("{}-{}", base, n);
    if (mkdir(path.c_str(), 0777) != 0) {
      if (errno == EEXIST) continue;
      fail(path, "make the folder");
    }
    const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Another process may take it for abandoned between the two calls.
    const bool is_lost =
        folder < 0 || (flock(folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || !is_at(path, folder);
    if (!is_lost) return folder;
    if (folder >= 0) close(folder);
  }
  fail(path, "make the folder");
}

}  // namespace

void write_file(const fs::path& path, std::string_view contents) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail(path, "write");
  while (!contents.empty()) {
    const ssize_t written = write(file, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      close(file);
      errno = error;
      fail(path, "write");
    }
    contents.remove_prefix(static_cast<size_t>(written));
  }
  if (close(file) != 0) fail(path, "write");
}

void replace_file(const fs::path& path, std::string_view contents) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) return write_file(path, contents);
  const fs::path target = fs::is_symlink(path, error) ? fs::weakly_canonical(path) : path;
  const std::string prefix = staging_prefix(target);
  remove_abandoned(target.has_parent_path() ? target.parent_path() : ".", prefix);
  const fs::path fresh = target.parent_path() / fmt::format("{}{}", prefix, getpid());
  try {
    write_file(fresh, contents);
    fs::rename(fresh, target, error);
    if (error) throw Error(error.message());
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove(fresh, ignored);
    errno = error ? error.value() : errno;
    fail(path, "write");
  }
}

StagingFolder::StagingFolder(const fs::path& output) {
  // Through symbolic links, so that the folder beside it is on the same disk.
  output_ = fs::weakly_canonical(fs::absolute(output));
  if (!output_.has_filename()) output_ = output_.parent_path();
  fs::path parent = output_.parent_path();
  if (fs::exists(output_) && !fs::is_directory(output_))
    throw Error(fmt::format("{}: is not a folder; give another --output", output_.string()));
  make_parents(parent);
  const std::string prefix = staging_prefix(output_);
  // A folder that is there may be a disk of its own, or the only place that may be written to.
  struct stat inside = {}, beside = {};
  if (stat(output_.c_str(), &inside) == 0 && stat(parent.c_str(), &beside) == 0 &&
      (inside.st_dev != beside.st_dev || access(parent.c_str(), W_OK) != 0))
    parent = output_;
  remove_abandoned(parent, prefix);
  try {
    lock_ = make_locked_folder((parent / fmt::format("{}{}", prefix, getpid())).string(), path_);
  } catch (...) {
    path_.clear();
    remove_made();
    throw;
  }
}

void StagingFolder::make_parents(const fs::path& parent) {
  std::vector<fs::path> missing;
  for (fs::path folder = parent; !fs::exists(folder) && folder.has_relative_path(); folder = folder.parent_path())
    missing.push_back(folder);
  for (; !missing.empty(); missing.pop_back()) {
    std::error_code error;
    if (fs::create_directory(missing.back(), error)) made_.push_back(missing.back());
    if (!error && fs::is_directory(missing.back(), error)) continue;
    remove_made();
    throw Error(fmt::format("{}: cannot make the folder: {}", missing.back().string(), error.message()));
  }
}

void StagingFolder::remove_made() {
  std::error_code ignored;
  for (; !made_.empty(); made_.pop_back()) rmdir(made_.back().c_str());
}

StagingFolder::~StagingFolder() {
  std::error_code error;
  // A grandchild that was killed may be a moment in dying, and create a file until then.
  for (int attempt = 0; attempt < 50 && !path_.empty(); attempt++) {
    fs::remove_all(path_, error);
    if (!error) break;
    usleep(10'000);
  }
  remove_made();
  if (lock_ >= 0) close(lock_);
}

void StagingFolder::publish(const std::vector<std::string>& names) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (std::find(names.begin(), names.end(), entry.path().filename().string()) == names.end())
      fs::remove_all(entry.path());
  if (!fs::exists(output_)) {
    fs::rename(path_, output_, error);
    if (!error) {
      path_.clear();
      made_.clear();
      return;
    }
  }
  for (const std::string& name : names) {
    fs::rename(path_ / name, output_ / name, error);
    if (error) throw Error(fmt::format("{}: cannot replace: {}", (output_ / name).string(), error.message()));
  }
  made_.clear();
}

namespace {

// A SHA-256 in the making.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(const void* bytes, size_t count) { EVP_DigestUpdate(context_.get(), bytes, count); }
  std::string hexadecimal() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &length);
    std::string hex;
    for (unsigned i = 0; i < length; i++) hex += fmt::format("{:02x}", digest[i]);
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// Calls take(bytes, count) for each part of the file.
template <class Take>
void read_parts(const fs::path& path, const Take& take) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail(path, "read");
  std::vector<char> buffer(1 << 17);
  ssize_t got = 0;
  while ((got = read(file.number, buffer.data(), buffer.size())) > 0) take(buffer.data(), static_cast<size_t>(got));
  if (got < 0) fail(path, "read");
}

}  // namespace

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(fmt::format("{}: {}", path.string(), error.message()));
}

std::string read_file(const fs::path& path) {
  std::string contents;
  read_parts(path, [&](const char* bytes, size_t count) { contents.append(bytes, count); });
  return contents;
}

std::string sha256(std::string_view bytes) {
  Digest digest;
  digest.add(bytes.data(), bytes.size());
  return digest.hexadecimal();
}

std::string sha256_of_file(const fs::path& path) {
  Digest digest;
  read_parts(path, [&](const char* bytes, size_t count) { digest.add(bytes, count); });
  return digest.hexadecimal();
}

}  // namespace resnetc
