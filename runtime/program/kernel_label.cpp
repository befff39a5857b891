#include "kernel_label.h"

#include <algorithm>
#include <vector>

namespace resnetc::program {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t end = text.find(separator);
    words.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end + 1);
  }
}

// The parts of a key, see schedules/key.h: OP_OPERAND_..._to_RESULT_ATTRIBUTE_..._f32.
struct Parts {
  std::string op;
  std::vector<std::string_view> image, weight, result;  // extents of the first of each, none where there is none
  std::vector<std::string_view> attributes;
};

// "i56x56x64b1" without kind and border: 56, 56, 64.
std::vector<std::string_view> extents(std::string_view type) {
  type.remove_prefix(1);
  return split(type.substr(0, type.find('b')), 'x');
}

Parts parts_of(std::string_view key) {
  Parts parts;
  enum { op, operands, result, attributes } at = op;
  for (const std::string_view word : split(key, '_')) {
    const bool is_type = word.size() > 1 && (word[0] == 'i' || word[0] == 'v' || word[0] == 'w') && is_digit(word[1]);
    if (word == "to" && at <= operands) {
      at = result;
    } else if (is_type && at == result) {
      parts.result = extents(word);
      at = attributes;
    } else if (is_type && at <= operands) {
      at = operands;
      if (word[0] == 'i' && parts.image.empty()) parts.image = extents(word);
      if (word[0] == 'w' && parts.weight.empty()) parts.weight = extents(word);
    } else if (at == op) {
      parts.op += (parts.op.empty() ? "" : "_") + std::string(word);
    } else {
      parts.attributes.push_back(word);
    }
  }
  return parts;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

std::string kind_of(const Parts& parts) {
  if (parts.op != "conv2d" || parts.weight.size() != 4) return parts.op;
  const bool grouped = std::any_of(parts.attributes.begin(), parts.attributes.end(),
                                   [](std::string_view word) { return starts_with(word, "groups"); });
  return "conv " + std::string(parts.weight[1]) + "x" + std::string(parts.weight[2]) + (grouped ? " grouped" : "");
}

}  // namespace

std::string kernel_kind(std::string_view key) {
  return kind_of(parts_of(key));
}

std::string kernel_label(std::string_view key) {
  const Parts parts = parts_of(key);
  std::string label = kind_of(parts);
  const auto add = [&](std::string_view first, std::string_view between, std::string_view second) {
    label.append(" ").append(first).append(between).append(second);
  };
  const bool is_image = parts.result.size() == 3;
  if (!parts.weight.empty() && !parts.image.empty()) {
    add(parts.image.back(), "-", parts.weight[0]);
  } else if (!parts.result.empty()) {
    label.append(" ").append(parts.result.back());
  }
  if (is_image) add(parts.result[0], "x", parts.result[1]);
  for (const std::string_view word : parts.attributes) {
    // The sizes say what padding a convolution has; all is float32.
    if (!starts_with(word, "padding") && word != "f32") label.append(" ").append(word);
  }
  return label;
}

}  // namespace resnetc::program
