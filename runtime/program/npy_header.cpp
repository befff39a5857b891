#include "npy_header.h"

namespace resnetc::program {

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  bool parse(NpyHeader* header) {
    bool has_dtype = false, has_order = false, has_shape = false;
    if (!take('{')) return false;
    while (!take('}')) {
      std::string key;
      if (!string(&key) || !take(':')) return false;
      if (key == "descr" && !has_dtype) {
        has_dtype = dtype(&header->dtype);
        if (!has_dtype) return false;
      } else if (key == "fortran_order" && !has_order) {
        has_order = boolean(&header->fortran_order);
        if (!has_order) return false;
      } else if (key == "shape" && !has_shape) {
        has_shape = shape(&header->shape);
        if (!has_shape) return false;
      } else {
        return false;
      }
      if (!take(',') && !at('}')) return false;
    }
    skip_space();
    return text_.empty() && has_dtype && has_order && has_shape;
  }

 private:
  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t')) text_.remove_prefix(1);
  }

  bool at(char c) {
    skip_space();
    return !text_.empty() && text_[0] == c;
  }

  bool take(char c) {
    if (!at(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool take_word(std::string_view word) {
    skip_space();
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  bool string(std::string* value) {
    skip_space();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return false;
    const std::size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return false;
    value->assign(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return true;
  }

  // A string, or the list of a structured type, which nobody takes but an error should show.
  bool dtype(std::string* value) {
    if (string(value)) return true;
    if (!at('[')) return false;
    int depth = 0;
    for (std::size_t i = 0; i < text_.size(); i++) {
      if (text_[i] == '[' || text_[i] == '(') depth++;
      if ((text_[i] == ']' || text_[i] == ')') && --depth == 0) {
        value->assign(text_.substr(0, i + 1));
        text_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  bool boolean(bool* value) {
    *value = take_word("True");
    return *value || take_word("False");
  }

  bool integer(std::uint64_t* value) {
    skip_space();
    std::size_t digits = 0;
    *value = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; digits++) {
      if (*value > (UINT64_MAX - 9) / 10) return false;
      *value = *value * 10 + static_cast<std::uint64_t>(text_[digits] - '0');
    }
    text_.remove_prefix(digits);
    take('L');  // Python 2 wrote 3L
    return digits > 0;
  }

  bool shape(std::vector<std::uint64_t>* value) {
    if (!take('(')) return false;
    while (!take(')')) {
      std::uint64_t extent = 0;
      if (!integer(&extent)) return false;
      value->push_back(extent);
      if (!take(',') && !at(')')) return false;
    }
    return true;
  }

  std::string_view text_;
};

}  // namespace

bool parse_npy_header(std::string_view text, NpyHeader* header) {
  return Parser(text).parse(header);
}

}  // namespace resnetc::program
