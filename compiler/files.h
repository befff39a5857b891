// Files written whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace resnetc {

// Throws Error naming the file and the reason.
void write_file(const std::filesystem::path& path, std::string_view contents);
// The same by a rename of a new file beside it, so that a reader sees the old contents or the new. What is no regular
// file, such as a pipe, is written to.
void replace_file(const std::filesystem::path& path, std::string_view contents);
std::string read_file(const std::filesystem::path& path);
// With its parents.
void make_folder(const std::filesystem::path& path);

// A folder beside `output` that goes when this does, with all that is in it and the parents made for it. Folders that
// killed processes left beside the same output go too.
class StagingFolder {
 public:
  explicit StagingFolder(const std::filesystem::path& output);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

  // Moves the files into `output`, in order, each by a rename; a new `output` appears whole.
  void publish(const std::vector<std::string>& names);

 private:
  std::filesystem::path output_, path_;
  int lock_ = -1;                            // says that the folder is in use
  std::vector<std::filesystem::path> made_;  // parents, the outermost first

  void make_parents(const std::filesystem::path& parent);
  void remove_made();
};

// Hexadecimal.
std::string sha256(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace resnetc
