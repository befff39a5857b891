// Turns the files and directories of a command line into a sequence of image files.
#ifndef RESNETC_RUNTIME_PROGRAM_PATHS_H
#define RESNETC_RUNTIME_PROGRAM_PATHS_H

#include <string>
#include <vector>

namespace resnetc::program {

// Files come as they are named; of directories come the .jpg, .jpeg and .png files in and below them, in the order of
// their names. Holds the names of one branch of a tree, never all.
class ImagePaths {
 public:
  explicit ImagePaths(std::vector<std::string> arguments);

  struct Next {
    std::string path;
    std::string error;  // why a directory gives no images, "" if path is a file
  };

  // False at the end.
  bool next(Next* next);

 private:
  struct Entry {
    std::string path;
    bool is_directory;
  };

  bool open_directory(const std::string& path, Next* next);

  std::vector<std::string> arguments_;  // the last comes first
  std::vector<Entry> pending_;          // of the current argument; the last comes first
  std::string directory_;               // the argument that pending_ is from, "" if none
  bool found_ = false;                  // an image or an error in directory_
};

}  // namespace resnetc::program

#endif
