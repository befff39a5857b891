// A file that appears under its name, whole, when finish returns; without finish nothing is left, and an older file
// stays. All throw Error; its message starts with the path, or is "interrupted": once there was such a file, SIGINT,
// SIGTERM and SIGHUP make the next write or finish throw, so that nothing is left of it.
#ifndef RESNETC_RUNTIME_PROGRAM_OUTPUT_FILE_H
#define RESNETC_RUNTIME_PROGRAM_OUTPUT_FILE_H

#include <cstdio>
#include <memory>
#include <string>

namespace resnetc::program {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

using File = std::unique_ptr<std::FILE, CloseFile>;

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* bytes, std::size_t size);
  void go_to_start();
  void finish();

 private:
  [[noreturn]] void give_up(int error);

  std::string path_, final_path_, temporary_path_;
  File file_;
};

}  // namespace resnetc::program

#endif
