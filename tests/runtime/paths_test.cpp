#include "runtime/program/paths.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "temporary_folder.h"

namespace {

using resnetc::program::ImagePaths;
using resnetc::test::TemporaryFolder;

// Paths below the folder, an error behind its path.
std::vector<std::string> listed(const TemporaryFolder& folder, std::vector<std::string> arguments) {
  std::vector<std::string> all;
  ImagePaths paths(std::move(arguments));
  for (ImagePaths::Next next; paths.next(&next);) {
    const bool below = next.path.compare(0, folder.path.size(), folder.path) == 0;
    const std::string path = below ? next.path.substr(folder.path.size()) : next.path;
    all.push_back(next.error.empty() ? path : path + ": " + next.error);
  }
  return all;
}

using List = std::vector<std::string>;

}  // namespace

TEST_CASE("paths: files come as they are named, whether they exist or not") {
  const TemporaryFolder folder;
  const std::string text = folder.write("note.txt", "x");
  CHECK(listed(folder, {"b.jpg", text, "a"}) == List{"b.jpg", "/note.txt", "a"});
}

TEST_CASE("paths: a directory's images come by name, those below it in their place") {
  const TemporaryFolder folder;
  for (const char* name : {"c.JPG", "a.png", "b/z.jpeg", "b/d/y.Png", "d.txt", "jpg", ".png", "e.jpg.bak", "b.jpg"}) {
    folder.write(name, "x");
  }
  CHECK(listed(folder, {folder.path}) == List{"/a.png", "/b/d/y.Png", "/b/z.jpeg", "/b.jpg", "/c.JPG"});
  CHECK(listed(folder, {folder.path + "/", "q"}) == List{"/a.png", "/b/d/y.Png", "/b/z.jpeg", "/b.jpg", "/c.JPG", "q"});
}

TEST_CASE("paths: a directory without images is an error of its own") {
  const TemporaryFolder folder;
  folder.write("empty/sub/note.txt", "x");
  folder.write("full/a.png", "x");
  CHECK(listed(folder, {folder / "empty", folder / "full", folder / "empty"}) ==
        List{"/empty: holds no .jpg, .jpeg or .png file", "/full/a.png", "/empty: holds no .jpg, .jpeg or .png file"});
}

TEST_CASE("paths: links to files are followed, links to directories and pipes are not") {
  const TemporaryFolder folder;
  folder.write("a.png", "x");
  std::filesystem::create_symlink("a.png", folder / "b.png");
  std::filesystem::create_symlink("nothing.png", folder / "c.png");
  std::filesystem::create_directory_symlink(".", folder / "loop.png");
  REQUIRE(mkfifo((folder / "pipe.png").c_str(), 0600) == 0);
  CHECK(listed(folder, {folder.path}) == List{"/a.png", "/b.png"});
  CHECK(listed(folder, {folder / "loop.png"}) == List{"/loop.png/a.png", "/loop.png/b.png"});
}
