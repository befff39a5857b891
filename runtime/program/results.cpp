#include "results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace resnetc::program {

namespace {

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

// The length of the UTF-8 sequence that text starts with, 0 if it is none: no overlong forms, no surrogates.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0, surrogate = first == 0xED && byte(1) >= 0xA0;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90, beyond = first == 0xF4 && byte(1) >= 0x90;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool most_probable(const float* logits, std::size_t n, std::size_t k, std::vector<ClassProbability>* top) {
  top->clear();
  if (!std::all_of(logits, logits + n, [](float value) { return std::isfinite(value); })) return false;
  if (n == 0) return true;
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (std::size_t i = 0; i < n; i++) sum += std::exp(logits[i] - largest);
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; i++) order[i] = i;
  k = std::min(k, n);
  const auto before = [&](std::size_t a, std::size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(), before);
  for (std::size_t i = 0; i < k; i++) top->push_back({order[i], std::exp(logits[order[i]] - largest) / sum});
  return true;
}

std::string text_result(std::string_view name, const std::vector<ClassProbability>& top, const char* const* labels) {
  std::string text = std::string(name) + "\n";
  int rank = 0;
  for (const ClassProbability& each : top) {
    char line[64];
    std::snprintf(line, sizeof line, "%5d. %6.2f %%  ", ++rank, each.probability * 100);
    text += line;
    text += labels != nullptr ? labels[each.index] : "class " + std::to_string(each.index);
    text += "\n";
  }
  return text;
}

std::string json_result(std::string_view name, const std::vector<ClassProbability>& top, const char* const* labels) {
  std::string text = "{\"file\": " + json_string(name) + ", \"top\": [";
  for (const ClassProbability& each : top) {
    if (&each != &top.front()) text += ", ";
    text += "{\"index\": " + std::to_string(each.index) +
            ", \"label\": " + (labels != nullptr ? json_string(labels[each.index]) : "null") +
            ", \"probability\": " + format("%.9g", each.probability) + "}";
  }
  return text + "]}\n";
}

std::string json_error(std::string_view name, std::string_view error) {
  return "{\"file\": " + json_string(name) + ", \"error\": " + json_string(error) + "}\n";
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out + "\"";
}

}  // namespace resnetc::program
