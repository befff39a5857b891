// What the block form and the graph form of a model file share: its name, its input and how images become one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/json_reader.h"
#include "ir/type.h"
#include "runtime/description.h"

namespace resnetc {

inline constexpr int most_channels = 65536;
inline constexpr int most_classes = 65536;
inline constexpr int most_side = 8192;  // of the input
inline constexpr int most_resize = 16384;

struct ModelFile {
  std::filesystem::path file;
  std::string name;
  int channels = 0;
  Hw size;                                  // of the input
  std::optional<rn_preprocess> preprocess;  // its crop, where there is one, is `size`
};

// Reads "name", "input" and "preprocess". Throws Error naming the file, the JSON path and the fix.
ModelFile read_model_file(const JsonValue& json, const std::filesystem::path& file,
                          const std::vector<std::string_view>& input_keys = {"channels", "height", "width"});

// "preprocess", for an input that `net` has already. Throws Error as above.
rn_preprocess read_preprocess(const JsonValue& json, const ModelFile& net);

// The name of a model, made of any text.
std::string name_from(std::string_view text);

// --size: replaces the input's size and the crop, and scales `resize`. Throws Error.
void set_size(ModelFile& net, Hw size);

// A path relative to the model file, as seen from the working directory.
std::filesystem::path read_labels_path(const JsonValue& json, const std::filesystem::path& file);

// One a line, without the line's end. Throws Error naming the file and the line.
std::vector<std::string> read_labels(const std::filesystem::path& file);

// The same for --labels, which must have one for every class.
std::vector<std::string> read_labels_option(const std::filesystem::path& file, size_t classes);

}  // namespace resnetc
