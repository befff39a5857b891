#include <cmath>

#include "compiler/inspect/layout.h"

namespace resnetc {
namespace {

// In units of the font's size: DejaVu Sans (as wide as Verdana), the widest of the fonts that the SVG asks for.
double character_width(std::string_view character) {
  if (character.size() > 1) return character == "…" ? 1.0 : 0.84;
  const char c = character[0];
  const std::string_view narrow = "iIjl.,:;'|!", medium = "fjtr-()[]/ \"", wide = "mwMW%@";
  if (narrow.find(c) != std::string_view::npos) return 0.34;
  if (medium.find(c) != std::string_view::npos) return 0.42;
  if (wide.find(c) != std::string_view::npos) return 0.98;
  if (c >= 'A' && c <= 'Z') return 0.74;
  return 0.64;
}

}  // namespace

int text_width(std::string_view text, int size, bool bold) {
  double sum = 0;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    while (i + length < text.size() && (static_cast<unsigned char>(text[i + length]) & 0xc0) == 0x80) length++;
    sum += character_width(text.substr(i, length));
    i += length;
  }
  return static_cast<int>(std::ceil(sum * size * (bold ? 1.12 : 1)));
}

}  // namespace resnetc
