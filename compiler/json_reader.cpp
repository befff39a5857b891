#include "compiler/json_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "compiler/process.h"

namespace resnetc {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t most_mb = 16;
constexpr size_t most_depth = 64;
constexpr size_t most_keys = 256;  // of an object; the parser looks through all of them for each
constexpr size_t most_values = 2'000'000;

// Cuts a text to a length that suits a message, not inside a UTF-8 character.
std::string cut(std::string_view text, size_t length) {
  if (text.size() <= length) return std::string(text);
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) length--;
  return std::string(text.substr(0, length)) + "…";
}

bool is_identifier(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string member_path(const std::string& path, std::string_view key) {
  if (!is_identifier(key) || key.size() > 120) return fmt::format("{}[{}]", path, quote(key));
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string element_path(const std::string& path, size_t index) {
  return fmt::format("{}[{}]", path, index);
}

[[noreturn]] void fail_at(const std::string& file, const std::string& path, std::string_view what) {
  throw Error(path.empty() ? fmt::format("{}: {}", file, what) : fmt::format("{}: {}: {}", file, path, what));
}

// Follows the parser through the document, which it does not build, and refuses what the standard lets pass.
class StructureCheck : public Json::json_sax_t {
 public:
  explicit StructureCheck(const std::string& file) : file_(file) {}

  bool start_object(size_t) override { return open({false, 0, "", {}}); }
  bool start_array(size_t) override { return open({true, 0, "", {}}); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(Json::number_integer_t) override { return count(); }
  bool number_unsigned(Json::number_unsigned_t) override { return count(); }
  bool number_float(Json::number_float_t, const std::string&) override { return count(); }
  bool string(std::string&) override { return count(); }
  bool binary(Json::binary_t&) override { return count(); }

  bool key(std::string& key) override {
    std::unordered_set<std::string>& keys = open_.back().keys;
    if (keys.size() == most_keys)
      fail_at(file_, path(open_.size() - 1), fmt::format("has more than {} keys", most_keys));
    open_.back().key = key;
    if (!keys.insert(key).second) fail_at(file_, path(open_.size()), "is given twice");
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    std::string_view what = error.what();
    if (what.starts_with('[')) what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    std::string plain = cut(what, 240);
    // What was read last is quoted as it stands.
    if (!is_plain_text(plain)) plain.resize(std::min(plain.find("; last read"), plain.size()));
    fail_at(file_, "", fmt::format("is not JSON: {}", plain));
  }

 private:
  struct Container {
    bool is_array;
    size_t index;     // of the element to come
    std::string key;  // of the member to come
    std::unordered_set<std::string> keys;
  };
  const std::string& file_;
  std::vector<Container> open_;
  size_t values_ = 0;

  // Of what comes next in the container at that depth.
  std::string path(size_t depth) const {
    std::string result;
    for (size_t i = 0; i < depth; i++) {
      const Container& in = open_[i];
      result = in.is_array ? element_path(result, in.index) : member_path(result, in.key);
    }
    return result;
  }

  bool open(Container container) {
    if (open_.size() == most_depth) fail_at(file_, "", fmt::format("is nested deeper than {}", most_depth));
    open_.push_back(std::move(container));
    return true;
  }

  bool close() {
    open_.pop_back();
    return count();
  }

  bool count() {
    if (++values_ > most_values) fail_at(file_, "", fmt::format("holds more than {} values", most_values));
    if (!open_.empty()) open_.back().index++;
    return true;
  }
};

std::string alternatives(const std::vector<std::string_view>& names) {
  std::string result;
  for (size_t i = 0; i < names.size(); i++) {
    if (i > 0) result += i + 1 == names.size() ? " or " : ", ";
    result += quote(names[i]);
  }
  return result;
}

}  // namespace

std::string quote(std::string_view text) {
  std::string quoted = Json(cut(text, 120)).dump(-1, ' ', false, Json::error_handler_t::replace);
  // JSON lets it stand.
  for (size_t at = 0; (at = quoted.find('\x7f', at)) != std::string::npos;) quoted.replace(at, 1, "\\u007f");
  return quoted;
}

bool is_plain_text(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) return false;
  try {
    Json(text).dump();
  } catch (const Json::type_error&) {
    return false;
  }
  return true;
}

std::string read_text_file(const std::filesystem::path& file, size_t limit_mb) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) throw Error(fmt::format("{}: is a folder", file.string()));
  // Without O_NONBLOCK, opening a named pipe would wait for a writer who may never come; reading one may wait.
  const int descriptor = open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0)
    throw Error(fmt::format(
        "{}: {}", file.string(),
        errno == ENOENT ? "there is no such file" : fmt::format("cannot be opened: {}", std::strerror(errno))));
  const struct Closing {
    int number;
    ~Closing() { close(number); }
  } closing{descriptor};
  fcntl(descriptor, F_SETFL, 0);
  std::string text;
  std::vector<char> chunk(size_t{1} << 16);
  while (true) {
    const ssize_t count = read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) {
      check_interrupted();
      continue;
    }
    if (count < 0) throw Error(fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<size_t>(count));
    if (text.size() > limit_mb << 20) throw Error(fmt::format("{}: is larger than {} MB", file.string(), limit_mb));
  }
}

struct JsonValue::Document {
  std::string file;
  Json root;
};

JsonValue::JsonValue(std::shared_ptr<const Document> document, const nlohmann::ordered_json* value, std::string path)
    : document_(std::move(document)), value_(value), path_(std::move(path)) {}

JsonValue JsonValue::read(const std::filesystem::path& file) {
  return parse(read_text_file(file, most_mb), file.string());
}

JsonValue JsonValue::parse(const std::string& text, std::string file_name) {
  auto document = std::make_shared<Document>();
  document->file = std::move(file_name);
  // The parser takes a zero byte for the end of its input and would not see what follows.
  if (text.find('\0') != std::string::npos) fail_at(document->file, "", "is not JSON: it holds a zero byte");
  StructureCheck check(document->file);
  Json::sax_parse(text, &check);
  document->root = Json::parse(text);
  const Json* root = &document->root;
  return {std::move(document), root, ""};
}

void JsonValue::fail(std::string_view what) const {
  fail_at(document_->file, path_, what);
}

std::string JsonValue::description() const {
  if (value_->is_object()) return "an object";
  if (value_->is_array()) return "an array";
  if (value_->is_string()) return quote(value_->get_ref<const std::string&>());
  return value_->dump();
}

void JsonValue::fail_wanted(std::string_view wanted) const {
  fail(fmt::format("must be {}, got {}", wanted, description()));
}

void JsonValue::fail_choice(const std::vector<std::string_view>& names) const {
  fail_wanted(alternatives(names));
}

bool JsonValue::is_null() const {
  return value_->is_null();
}

bool JsonValue::is_array() const {
  return value_->is_array();
}

bool JsonValue::is_number() const {
  return value_->is_number();
}

bool JsonValue::is_boolean() const {
  return value_->is_boolean();
}

bool JsonValue::is_text() const {
  return value_->is_string();
}

bool JsonValue::is_object() const {
  return value_->is_object();
}

void JsonValue::require_object() const {
  if (!value_->is_object()) fail_wanted("an object");
}

void JsonValue::allow_keys(std::initializer_list<std::string_view> known) const {
  allow_keys(std::vector<std::string_view>(known));
}

void JsonValue::allow_keys(const std::vector<std::string_view>& known) const {
  require_object();
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail_at(document_->file, member_path(path_, key),
              fmt::format("is an unknown key; known here: {}", fmt::join(known, ", ")));
  }
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  require_object();
  const auto found = value_->find(key);
  if (found == value_->end()) return std::nullopt;
  return JsonValue(document_, &*found, member_path(path_, key));
}

JsonValue JsonValue::at(std::string_view key, std::string_view hint) const {
  std::optional<JsonValue> found = find(key);
  if (!found) fail_at(document_->file, member_path(path_, key), fmt::format("is required, but missing{}", hint));
  return *std::move(found);
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
  require_object();
  std::vector<std::pair<std::string, JsonValue>> result;
  for (const auto& [key, value] : value_->items())
    result.emplace_back(key, JsonValue(document_, &value, member_path(path_, key)));
  return result;
}

std::vector<JsonValue> JsonValue::items(size_t least, size_t most) const {
  if (!value_->is_array()) fail_wanted("an array");
  if (value_->size() < least || value_->size() > most) {
    const std::string wanted = least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
    fail(fmt::format("must have {} elements, got {}", wanted, value_->size()));
  }
  std::vector<JsonValue> result;
  for (size_t i = 0; i < value_->size(); i++)
    result.push_back(JsonValue(document_, &(*value_)[i], element_path(path_, i)));
  return result;
}

int JsonValue::integer(int least, int most) const {
  if (!value_->is_number_integer()) fail_wanted("an integer");
  // An unsigned value beyond int64 would wrap.
  const bool huge = value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t number = huge ? INT64_MAX : value_->get<int64_t>();
  if (number < least) fail_wanted(fmt::format("at least {}", least));
  if (number > most) fail_wanted(fmt::format("at most {}", most));
  return static_cast<int>(number);
}

double JsonValue::number(double least, double most) const {
  if (!value_->is_number()) fail_wanted("a number");
  const auto number = value_->get<double>();
  if (!(number >= least)) fail_wanted(fmt::format("at least {}", least));
  if (!(number <= most)) fail_wanted(fmt::format("at most {}", most));
  return number;
}

bool JsonValue::boolean() const {
  if (!value_->is_boolean()) fail_wanted("true or false");
  return value_->get<bool>();
}

std::string JsonValue::text() const {
  if (!value_->is_string()) fail_wanted("a string");
  return value_->get<std::string>();
}

}  // namespace resnetc
