// The header of a .npy file: a Python dictionary of three known keys.
#ifndef RESNETC_RUNTIME_PROGRAM_NPY_HEADER_H
#define RESNETC_RUNTIME_PROGRAM_NPY_HEADER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace resnetc::program {

struct NpyHeader {
  std::string dtype;  // without its quotes: <f4; other values as they stand
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

// False if the text is no such dictionary, has other keys or lacks one.
bool parse_npy_header(std::string_view text, NpyHeader* header);

}  // namespace resnetc::program

#endif
