// The size of this machine's last-level cache.
#ifndef RESNETC_RUNTIME_PROGRAM_CACHE_SIZE_H
#define RESNETC_RUNTIME_PROGRAM_CACHE_SIZE_H

#include <cstddef>
#include <string>

namespace resnetc::program {

// In bytes, as Linux says of the first CPU: CPUID, which sysconf asks, gives AMD's whole socket, eight times what a
// virtual machine of two cores shares. Without /sys, what sysconf says; 0 if nothing does.
std::size_t last_level_cache_bytes(const std::string& folder = "/sys/devices/system/cpu/cpu0/cache");

}  // namespace resnetc::program

#endif
