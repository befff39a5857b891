#include "compiler/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "compiler/json_reader.h"
#include "ir/graph.h"

namespace resnetc {
namespace {

using nlohmann::json;

constexpr size_t most_dimensions = 16;

// { "NAME": { "dtype": TEXT, "shape": [N, …], "data_offsets": [BEGIN, END] }, …, "__metadata__": { TEXT: TEXT, … } }
class HeaderParser : public json::json_sax_t {
 public:
  explicit HeaderParser(const std::string& file) : file_(file) {}

  std::vector<HeaderEntry> take() { return std::move(entries_); }

  bool start_object(size_t) override {
    if (depth_ == 0) {
      depth_ = 1;
    } else if (depth_ == 1) {
      depth_ = 2;
      if (!in_metadata_) entries_.push_back({name_, "", {}, 0, 0});
      fields_.clear();
    } else {
      refuse();
    }
    return true;
  }

  bool key(std::string& key) override {
    if (depth_ == 1) {
      name_ = key;
      field_.clear();
      in_metadata_ = key == "__metadata__";
      if (!names_.insert(key).second) fail("the name is given twice");
    } else {
      field_ = key;
      if (!in_metadata_ && key != "dtype" && key != "shape" && key != "data_offsets")
        fail(fmt::format("{}: is an unknown key", quote(key)));
      if (!fields_.insert(key).second) fail(fmt::format("{}: is given twice", quote(key)));
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_)
      for (const char* wanted : {"dtype", "shape", "data_offsets"})
        if (!fields_.contains(wanted)) fail(fmt::format("{}: is missing", wanted));
    depth_--;
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || field_ == "dtype") refuse();
    depth_ = 3;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(json::number_unsigned_t value) override {
    if (depth_ != 3 || value > uint64_t{INT64_MAX}) refuse();
    numbers_.push_back(value);
    if (numbers_.size() > most_dimensions) fail(fmt::format("{}: has more than {} elements", field_, most_dimensions));
    return true;
  }

  bool end_array() override {
    if (field_ == "shape") {
      entries_.back().shape = numbers_;
    } else {
      if (numbers_.size() != 2) refuse();
      entries_.back().begin = numbers_[0];
      entries_.back().end = numbers_[1];
    }
    depth_ = 2;
    return true;
  }

  bool string(std::string& value) override {
    if (depth_ != 2 || (!in_metadata_ && field_ != "dtype")) refuse();
    if (!in_metadata_) entries_.back().dtype = value;
    return true;
  }

  bool null() override { refuse(); }
  bool boolean(bool) override { refuse(); }
  bool number_integer(json::number_integer_t) override { refuse(); }
  bool number_float(json::number_float_t, const std::string&) override { refuse(); }
  bool binary(json::binary_t&) override { refuse(); }

  bool parse_error(size_t position, const std::string&, const json::exception&) override {
    throw Error(fmt::format("{}: is not a safetensors file: its header is not JSON at byte {}", file_, position));
  }

 private:
  const std::string& file_;
  std::vector<HeaderEntry> entries_;
  std::unordered_set<std::string> names_;
  int depth_ = 0;  // 1: among the tensors, 2: in one of them or in the metadata, 3: in an array
  std::string name_;
  bool in_metadata_ = false;
  std::string field_;
  std::unordered_set<std::string> fields_;
  std::vector<uint64_t> numbers_;

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{}: tensor {}: {}", file_, quote(name_), what));
  }

  // A value that has no business at this place. The text starts with a brace, so depth is at least 1.
  [[noreturn]] void refuse() const {
    if (in_metadata_) fail("must be an object of strings");
    if (depth_ == 1) fail("must be an object");
    if (field_ == "dtype") fail("dtype: must be a string");
    if (field_ == "shape") fail("shape: must be an array of integers from 0 to 2^63 - 1");
    fail("data_offsets: must be two integers from 0 to 2^63 - 1");
  }
};

}  // namespace

std::vector<HeaderEntry> parse_safetensors_header(std::string_view text, const std::string& file) {
  // The parser takes a zero byte for the end of its input.
  if (!text.starts_with('{') || text.find('\0') != std::string_view::npos)
    throw Error(fmt::format("{}: is not a safetensors file: its header is not JSON", file));
  HeaderParser parser(file);
  json::sax_parse(text.begin(), text.end(), &parser);
  return parser.take();
}

}  // namespace resnetc
