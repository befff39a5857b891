// Standard output, where a write that fails is an error.
#ifndef RESNETC_RUNTIME_PROGRAM_PRINT_H
#define RESNETC_RUNTIME_PROGRAM_PRINT_H

#include <string>
#include <string_view>

namespace resnetc::program {

// Both throw Error.
void print(std::string_view text);
void flush_output();

// To standard error, after the program's name.
void print_error(std::string_view name, std::string_view message);

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace resnetc::program

#endif
