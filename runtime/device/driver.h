/* What is particular to OpenCL and to CUDA: their libraries, loaded when a program first asks for a device, and how a
   device is opened. All else Halide's runtime does alike for both. */
#ifndef RESNETC_RUNTIME_DEVICE_DRIVER_H
#define RESNETC_RUNTIME_DEVICE_DRIVER_H

#include <HalideRuntime.h>
#include <dlfcn.h>
#include <stddef.h>

#include "../device.h"
#include "../pool.h"

namespace resnetc::runtime {

// The user context of a device's kernels. Each handle has a queue of its own; with CUDA those of a device share its
// context, and with it the compiled kernels.
struct DeviceContext {
  Worker worker;  // first: hooks that know nothing of devices take the user context for one
  void* context;  // cl_context or CUcontext
  void* queue;    // cl_command_queue or CUstream
  // Whether memory that a kernel frees is kept for the next one. If not it goes back to the device at once: a net's
  // handle allocates when it is made, and never again.
  bool keeps_memory;
};

struct DeviceInfo {
  char name[256];
  char detail[256];  // the type and the platform, or the compute capability
  unsigned long long memory_bytes, shared_bytes;
  unsigned long long cache_bytes;  // of the last level
  unsigned long long threads;      // of one block
  unsigned long long alignment;    // in bytes, of where a tensor may start in the arena
  unsigned units;                  // multiprocessors, that each run blocks of their own
  int capability;                  // of CUDA, 10 * major + minor; else 0
};

struct Driver {
  const char* library;  // that is loaded
  const char* install;  // what brings the library
  const halide_device_interface_t* (*halide)();
  // Loads the library. Returns null, the library's own name if it is not there, or a function that it lacks.
  const char* (*missing)();
  int (*count)();   // below 0: the driver's error
  int no_platform;  // the error of a library that finds no driver to load, else 0
  bool (*info)(int index, DeviceInfo* info);
  // Returns 0, or the driver's error if the device is busy, lost or out of memory; close() is due in any case.
  int (*open)(DeviceContext* context, int index);
  // Releases the compiled kernels too, if no other handle has them.
  void (*close)(DeviceContext* context, int index);
  // Queues the zeroing of all that the buffer has on the device; returns 0 or the driver's error.
  int (*zero)(DeviceContext* context, halide_buffer_t* buffer, size_t bytes);
  // Sets what it can do at most; false where it fails.
  bool (*measure)(DeviceContext* context, int index, const DeviceInfo& info, rn_device_peak* peak);

  // The kernels of a net as one unit of work, which costs the host one call: what is queued between the first two is
  // not run but recorded. Null where the interface has no such thing. end_recording returns null if it cannot be had;
  // then, too, nothing has run.
  bool (*begin_recording)(DeviceContext* context);
  void* (*end_recording)(DeviceContext* context);
  int (*replay)(DeviceContext* context, void* recording);  // returns 0 or the driver's error
  void (*forget)(DeviceContext* context, void* recording);

  // The number of the thread's last error, and whether it says of kernels that were being loaded that the driver is
  // older than they are. Null where Halide's runtime has a name for each error.
  int (*last_error)();
  bool (*is_old)(int error);
};

int count_devices(const Driver& driver, char* message, size_t bytes);
void describe_device(const Driver& driver, int index, char* text, size_t bytes);
int create_net(const Driver& driver, void** net, const rn_description* description, int index, int max_batch,
               char* message, size_t bytes);
int run_net(void* net, const float* input, int batch, float* output, char* message, size_t bytes);
int run_kernels(void* net, int batch, double* seconds, char* message, size_t bytes);
int time_step(void* net, uint32_t step, int batch, double* seconds, char* message, size_t bytes);
int measure_device(void* net, rn_device_peak* peak, char* message, size_t bytes);
void destroy_net(void* net);

// The address of a driver's function; false if the library has none of that name.
template <class Function>
bool find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

// What Driver::missing returns, of these functions.
template <size_t count>
const char* first_missing(const char* name, void* library, const char* const (&functions)[count]) {
  if (!library) return name;
  for (const char* function : functions)
    if (!dlsym(library, function)) return function;
  return nullptr;
}

// What a net's description points to. `driver` outlives the program.
template <const Driver& driver>
constexpr rn_device device_of(const char* api) {
  return {api,
          [](char* message, size_t bytes) { return count_devices(driver, message, bytes); },
          [](int index, char* text, size_t bytes) { describe_device(driver, index, text, bytes); },
          [](void** net, const rn_description* description, int index, int max_batch, char* message, size_t bytes) {
            return create_net(driver, net, description, index, max_batch, message, bytes);
          },
          run_net,
          run_kernels,
          time_step,
          measure_device,
          destroy_net,
          &driver};
}

}  // namespace resnetc::runtime

#endif
