#include "compiler/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "ir/graph.h"

namespace resnetc {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& path, const char* what) {
  throw Error(fmt::format("{}: cannot {}: {}", path.string(), what, strerror(errno)));
}

// ".NAME.resnetc-PID"
std::string staging_prefix(const fs::path& output) {
  return fmt::format(".{}.resnetc-", output.filename().string());
}

void remove_abandoned(const fs::path& parent, const std::string& prefix) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t pid = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data() + prefix.size(), end, pid).ptr != end || pid <= 0) continue;
    if (kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace

void write_file(const fs::path& path, std::string_view contents) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail(path, "write");
  while (!contents.empty()) {
    const ssize_t written = write(file, contents.data(), contents.size());
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
  const fs::path fresh = target.parent_path() / fmt::format("{}{}", staging_prefix(target), getpid());
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

std::string read_file(const fs::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path, "read");
  std::string contents;
  char buffer[1 << 16];
  ssize_t got = 0;
  while ((got = read(file, buffer, sizeof buffer)) > 0) contents.append(buffer, static_cast<size_t>(got));
  const int error = errno;
  close(file);
  errno = error;
  if (got < 0) fail(path, "read");
  return contents;
}

StagingFolder::StagingFolder(const fs::path& output) {
  // Through symbolic links, so that the folder beside it is on the same disk.
  output_ = fs::weakly_canonical(fs::absolute(output));
  if (!output_.has_filename()) output_ = output_.parent_path();
  fs::path parent = output_.parent_path();
  if (fs::exists(output_) && !fs::is_directory(output_))
    throw Error(fmt::format("{}: is not a folder; give another --output", output_.string()));
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) throw Error(fmt::format("{}: cannot make the folder: {}", parent.string(), error.message()));
  const std::string prefix = staging_prefix(output_);
  // A folder that is there may be a disk of its own, or the only place that may be written to.
  struct stat inside = {}, beside = {};
  if (stat(output_.c_str(), &inside) == 0 && stat(parent.c_str(), &beside) == 0 &&
      (inside.st_dev != beside.st_dev || access(parent.c_str(), W_OK) != 0))
    parent = output_;
  remove_abandoned(parent, prefix);
  path_ = parent / fmt::format("{}{}", prefix, getpid());
  if (mkdir(path_.c_str(), 0777) != 0) fail(path_, "make the folder");
}

StagingFolder::~StagingFolder() {
  if (path_.empty()) return;
  // A grandchild that was killed may be a moment in dying, and create a file until then.
  std::error_code error;
  for (int attempt = 0; attempt < 50; attempt++) {
    fs::remove_all(path_, error);
    if (!error) return;
    usleep(10'000);
  }
}

void StagingFolder::publish(const std::vector<std::string>& names) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (std::find(names.begin(), names.end(), entry.path().filename().string()) == names.end())
      fs::remove_all(entry.path());
  if (!fs::exists(output_)) {
    fs::rename(path_, output_, error);
    if (!error) return path_.clear();
  }
  for (const std::string& name : names) {
    fs::rename(path_ / name, output_ / name, error);
    if (error) throw Error(fmt::format("{}: cannot replace: {}", (output_ / name).string(), error.message()));
  }
}

std::string sha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < length; i++) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string sha256_of_file(const fs::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path, "read");
  struct stat info = {};
  fstat(file, &info);
  const auto size = static_cast<size_t>(info.st_size);
  void* memory = size ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
  close(file);
  if (memory == MAP_FAILED) fail(path, "read");
  std::string result = sha256({static_cast<const char*>(memory), size});
  if (memory) munmap(memory, size);
  return result;
}

}  // namespace resnetc
