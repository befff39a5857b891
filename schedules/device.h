// Where kernels run.
#pragma once

namespace resnetc {

// On the CPU, or on a device with strategies of its own.
enum class Device { cpu, opencl, cuda };

}  // namespace resnetc
