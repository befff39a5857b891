// How the times of --profile are taken.
#ifndef RESNETC_RUNTIME_PROGRAM_PROFILE_H
#define RESNETC_RUNTIME_PROGRAM_PROFILE_H

#include "model.h"
#include "options.h"
#include "profile_figures.h"

namespace resnetc::program {

// For options.batch images and some options.profile_seconds. model: of that batch, on the CPU or on a device. Throw
// Error.
Profile profile_cpu(const rn_description& net, Model& model, const Options& options);
Profile profile_device(const rn_description& net, Model& model, const Options& options);

}  // namespace resnetc::program

#endif
