// What a fuzz target promises beyond not crashing.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "compiler/json_reader.h"

namespace resnetc::test {

inline void promise(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

// An error is one line of plain text that begins with the place.
inline void promise_message(std::string_view message, std::string_view place) {
  promise(message.starts_with(place) && message.size() < 4096 && is_plain_text(message), message);
}

}  // namespace resnetc::test
