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

// "amd" or "intel", of such a kind; "" if it is not known.
std::string_view cpu_vendor(std::string_view kind);

// The strongest instruction set of a kind of CPU, named as machine.h's strongest_feature; "" if it is not known.
std::string_view own_feature(std::string_view kind);

}  // namespace resnetc
