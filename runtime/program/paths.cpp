#include "paths.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

namespace resnetc::program {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

bool has_image_suffix(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string suffix(name.substr(dot));
  for (char& c : suffix) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png";
}

}  // namespace

ImagePaths::ImagePaths(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  std::reverse(arguments_.begin(), arguments_.end());
}

bool ImagePaths::next(Next* next) {
  next->error.clear();
  for (;;) {
    if (!pending_.empty()) {
      const Entry entry = std::move(pending_.back());
      pending_.pop_back();
      next->path = entry.path;
      if (entry.is_directory && open_directory(entry.path, next)) continue;
      found_ = true;
      return true;
    }
    if (!directory_.empty() && !found_) {
      next->path = std::exchange(directory_, "");
      next->error = "holds no .jpg, .jpeg or .png file";
      return true;
    }
    directory_.clear();
    if (arguments_.empty()) return false;
    next->path = std::move(arguments_.back());
    arguments_.pop_back();
    struct stat status {};
    if (stat(next->path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return true;
    directory_ = next->path;
    found_ = false;
    pending_.push_back({directory_, true});
  }
}

// Puts what is in the directory in front of pending_; false, with an error in *next, if it cannot be read. Links to
// directories are not followed: they could lead round in circles.
bool ImagePaths::open_directory(const std::string& path, Next* next) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (directory == nullptr) {
    next->error = std::strerror(errno);
    return false;
  }
  std::vector<Entry> entries;
  errno = 0;
  while (const dirent* each = readdir(directory.get())) {
    const std::string_view name = each->d_name;
    const std::string entry = path + (path.back() == '/' ? "" : "/") + each->d_name;
    struct stat status {};
    if (name == "." || name == ".." || lstat(entry.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode)) {
      entries.push_back({entry, true});
    } else if (has_image_suffix(name) && stat(entry.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      entries.push_back({entry, false});
    }
    errno = 0;
  }
  if (errno != 0) {
    next->error = std::strerror(errno);
    return false;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.path > b.path; });
  pending_.insert(pending_.end(), std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
  return true;
}

}  // namespace resnetc::program
