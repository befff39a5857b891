// What the CPU that this runs on calls itself, and which kind it is.
#pragma once

#include <string>
#include <string_view>

namespace resnetc {

// As "AMD EPYC 7B13 family 25 model 1".
std::string cpu_name();

// The kind of a CPU of that name, as "amd-zen3": what was tuned on one of a kind suits the others. Goes by family and
// model, for a virtual machine may call its CPU what it likes; of a kind without a name "family6-model151".
std::string cpu_kind(std::string_view name);

}  // namespace resnetc
