// What an emitted program does without images. All print to standard output and throw Error.
#ifndef RESNETC_RUNTIME_PROGRAM_COMMANDS_H
#define RESNETC_RUNTIME_PROGRAM_COMMANDS_H

#include "../description.h"
#include "options.h"

namespace resnetc::program {

void print_info(const rn_description& net, const Options& options);

// Of a net whose kernels run on a device: the devices to choose from, one a line.
void list_devices(const rn_description& net);

// Runs a fixed input in every place of a batch; false if an output is further from the reference's than the bound.
bool self_test(const rn_description& net, const Options& options);

void benchmark(const rn_description& net, const Options& options);

// What each step and each kernel takes and reaches, and what bounds it; writes options.html if that is asked for.
void profile(const rn_description& net, const Options& options);

}  // namespace resnetc::program

#endif
