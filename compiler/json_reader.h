// Strict reading of JSON files that people write: every value knows the file and the path that it came from, and every
// refusal reads "models/x.json: stages[2].stride: must be at least 1, got 0".
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

// The text in double quotes, control characters escaped, invalid UTF-8 replaced, cut where it is very long: fit for a
// message whatever the text is.
std::string quote(std::string_view text);

// Whether the text is valid UTF-8 without control characters.
bool is_plain_text(std::string_view text);

// The bytes of a file; throws Error if it cannot be read or is longer than limit_mb.
std::string read_text_file(const std::filesystem::path& file, size_t limit_mb);

// One value of a document, which it keeps alive. Whatever does not fit throws Error.
class JsonValue {
 public:
  // Refuses what is not valid UTF-8, is larger than 16 MB, nests deeper than 64, gives a key twice, more than 256
  // keys in one object or more than 2 million values in all.
  static JsonValue read(const std::filesystem::path& file);
  static JsonValue parse(const std::string& text, std::string file_name);

  bool is_null() const;
  bool is_number() const;
  bool is_boolean() const;
  bool is_text() const;
  bool is_array() const;
  bool is_object() const;

  // Of an object: refuses any other key.
  void allow_keys(std::initializer_list<std::string_view> known) const;
  void allow_keys(const std::vector<std::string_view>& known) const;
  // Of an object: the value of a key, which must or may be there. The hint follows the complaint that it is missing.
  JsonValue at(std::string_view key, std::string_view hint = "") const;
  std::optional<JsonValue> find(std::string_view key) const;

  // Of an object, in the order of the file.
  std::vector<std::pair<std::string, JsonValue>> members() const;
  std::vector<JsonValue> items(size_t least, size_t most) const;
  int integer(int least, int most) const;
  double number(double least, double most) const;
  bool boolean() const;
  std::string text() const;

  template <class Enum>
  Enum choice(std::initializer_list<std::pair<std::string_view, Enum>> choices) const {
    const std::string chosen = text();
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) {
      if (name == chosen) return value;
      names.push_back(name);
    }
    fail_choice(names);
  }
  // Of a text that is none of these names.
  [[noreturn]] void fail_choice(const std::vector<std::string_view>& names) const;

  // Throws Error "FILE: PATH: what".
  [[noreturn]] void fail(std::string_view what) const;
  // Throws Error "FILE: PATH: must be WANTED, got …".
  [[noreturn]] void fail_wanted(std::string_view wanted) const;

 private:
  struct Document;
  std::shared_ptr<const Document> document_;
  const nlohmann::ordered_json* value_;
  std::string path_;

  JsonValue(std::shared_ptr<const Document> document, const nlohmann::ordered_json* value, std::string path);
  void require_object() const;
  std::string description() const;
};

}  // namespace resnetc
