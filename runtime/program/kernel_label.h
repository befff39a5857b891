// Short names for kernels, made from their keys.
#ifndef RESNETC_RUNTIME_PROGRAM_KERNEL_LABEL_H
#define RESNETC_RUNTIME_PROGRAM_KERNEL_LABEL_H

#include <string>
#include <string_view>

namespace resnetc::program {

// What a kernel computes: "conv 3x3", "conv 3x3 grouped", "max_pool", "dense". Of what is no key: its first word.
std::string kernel_kind(std::string_view key);

// With channels, size of the result and what else tells kernels apart: "conv 3x3 64-128 28x28 stride2 relu".
std::string kernel_label(std::string_view key);

}  // namespace resnetc::program

#endif
