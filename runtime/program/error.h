// What an emitted program throws: a message for its user that names the file and the problem. Exit status 1.
#ifndef RESNETC_RUNTIME_PROGRAM_ERROR_H
#define RESNETC_RUNTIME_PROGRAM_ERROR_H

#include <stdexcept>

namespace resnetc::program {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace resnetc::program

#endif
