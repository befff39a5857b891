// Runs the net on images or on a .npy file and prints or writes what comes out.
#ifndef RESNETC_RUNTIME_PROGRAM_CLASSIFY_H
#define RESNETC_RUNTIME_PROGRAM_CLASSIFY_H

#include "../description.h"
#include "options.h"

namespace resnetc::program {

// False if an image could not be read or has no result; the others were run all the same. Throws Error, and UsageError
// where the options ask for what this net has not.
bool classify(const rn_description& net, const Options& options);

}  // namespace resnetc::program

#endif
