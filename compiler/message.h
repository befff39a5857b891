// Messages to standard error. Where it cannot be written to (a full disk), they are lost and the work goes on.
#pragma once

#include <fmt/format.h>

#include <cstdio>

namespace resnetc {

template <class... Arguments>
void print_message(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  std::fputs(fmt::format(format, std::forward<Arguments>(arguments)...).c_str(), stderr);
}

}  // namespace resnetc
