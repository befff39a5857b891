// The device whose kernels are tuned: what runs them one by one, and what it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "schedules/machine.h"

namespace resnetc {

// A hidden command of resnetc: `resnetc describe-device LIBRARY API INDEX TARGET`, answers on standard output.
inline constexpr const char* describe_device_command = "describe-device";
// Another: `resnetc list-devices LIBRARY API`.
inline constexpr const char* list_devices_command = "list-devices";

struct DeviceDescription {
  std::string name;
  uint64_t memory_bytes = 0, cache_bytes = 0;  // cache: of the last level
  double peak_gflops = 0;                      // measured
  DeviceLimits limits = {};
};

// Links kernel_device_file into the folder.
std::filesystem::path make_kernel_device(const Machine& machine, const std::string& target,
                                         const std::filesystem::path& folder);

// Asks the device of that number and measures it, in a process of its own: drivers bring threads and compilers of their
// own. Throws Error if there is none, or if it is too old for the machine's target, which the driver would else tell
// each candidate as its own failure.
DeviceDescription describe_device(const std::filesystem::path& library, const Machine& machine, int index);

// One line for each device of an API, by number, or why there is none; in a process of its own too.
std::string list_devices(const std::filesystem::path& library, const Machine& machine);

// The commands themselves. They return the exit status.
int print_device_list(const char* library, const char* api);
int print_device(const char* library, const char* api, int index, const char* target);

}  // namespace resnetc
