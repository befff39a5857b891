// Devices of OpenCL, and the hooks by which Halide's runtime finds the one of a handle. The few declarations of
// OpenCL's interface stand here, so that no headers of it are needed.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "peak.h"

using resnetc::runtime::DeviceContext;
using resnetc::runtime::DeviceInfo;
using resnetc::runtime::find;

extern "C" const struct halide_device_interface_t* halide_opencl_device_interface();
extern "C" uintptr_t halide_opencl_get_cl_mem(void* user_context, struct halide_buffer_t* buffer);

namespace {

constexpr uint32_t platform_name = 0x0902;
constexpr uint32_t device_name = 0x102B, device_cache = 0x101E, device_memory = 0x101F, device_local_memory = 0x1023,
                   device_type = 0x1000, device_units = 0x1002, device_group = 0x1004, device_alignment = 0x1019;
constexpr uint64_t all_types = 0xFFFFFFFF, type_cpu = 2, type_gpu = 4, type_accelerator = 8;
constexpr int most_devices = 64, device_not_found = -1, platform_not_found = -1001;

using Handle = void*;

struct Functions {
  int32_t (*get_platforms)(uint32_t, Handle*, uint32_t*);
  int32_t (*get_platform_info)(Handle, uint32_t, size_t, void*, size_t*);
  int32_t (*get_devices)(Handle, uint64_t, uint32_t, Handle*, uint32_t*);
  int32_t (*get_device_info)(Handle, uint32_t, size_t, void*, size_t*);
  Handle (*create_context)(const intptr_t*, uint32_t, const Handle*, void*, void*, int32_t*);
  Handle (*create_queue)(Handle, Handle, uint64_t, int32_t*);
  int32_t (*release_queue)(Handle);
  int32_t (*release_context)(Handle);
  int32_t (*fill)(Handle, Handle, const void*, size_t, size_t, size_t, uint32_t, const Handle*, Handle*);
};

constexpr const char* libopencl = "libOpenCL.so.1";

void* library() {
  return dlopen(libopencl, RTLD_NOW | RTLD_LOCAL);  // counted: the second time costs next to nothing
}

bool functions(Functions* f) {
  void* from = library();
  return from && find(from, "clGetPlatformIDs", &f->get_platforms) &&
         find(from, "clGetPlatformInfo", &f->get_platform_info) && find(from, "clGetDeviceIDs", &f->get_devices) &&
         find(from, "clGetDeviceInfo", &f->get_device_info) && find(from, "clCreateContext", &f->create_context) &&
         find(from, "clCreateCommandQueue", &f->create_queue) &&
         find(from, "clReleaseCommandQueue", &f->release_queue) &&
         find(from, "clReleaseContext", &f->release_context) && find(from, "clEnqueueFillBuffer", &f->fill);
}

struct Found {
  Handle device, platform;
  uint64_t type;
};

// A kind of devices and how it is called; what is none of them comes last.
struct Type {
  uint64_t bit;
  const char* name;
};
constexpr Type types[] = {
    {type_gpu, "GPU"}, {type_accelerator, "accelerator"}, {type_cpu, "CPU"}, {all_types, "other"}};

int rank_of(uint64_t type) {
  int rank = 0;
  while (rank < 3 && !(type & types[rank].bit)) rank++;
  return rank;
}

// Behind those of its kind: GPUs come first, CPUs after all others, whatever platform the loader names first.
void insert(Found* found, int count, const Found& device) {
  int place = count;
  for (; place > 0 && rank_of(found[place - 1].type) > rank_of(device.type); place--) found[place] = found[place - 1];
  found[place] = device;
}

// Of all platforms. Returns how many, or OpenCL's error, which is below 0.
int find_devices(const Functions& f, Found* found) {
  Handle platforms[most_devices], devices[most_devices];
  uint32_t platform_count = 0, device_count = 0;
  int count = 0;
  const int32_t error = f.get_platforms(most_devices, platforms, &platform_count);
  if (error != 0) return error < 0 ? error : 0;
  for (uint32_t p = 0; p < platform_count && p < most_devices; p++) {
    if (f.get_devices(platforms[p], all_types, most_devices, devices, &device_count) != 0) continue;
    for (uint32_t d = 0; d < device_count && d < most_devices && count < most_devices; d++) {
      uint64_t type = 0;
      f.get_device_info(devices[d], device_type, sizeof type, &type, nullptr);
      insert(found, count++, {devices[d], platforms[p], type});
    }
  }
  return count;
}

// Of version 1.2, by which all else is there too.
const char* missing() {
  constexpr const char* names[] = {"clGetPlatformIDs", "clCreateSubBuffer", "clEnqueueFillBuffer"};
  return resnetc::runtime::first_missing(libopencl, library(), names);
}

int count() {
  Functions f;
  Found found[most_devices];
  return functions(&f) ? find_devices(f, found) : 0;
}

bool info(int index, DeviceInfo* info) {
  Functions f;
  Found found[most_devices];
  if (!functions(&f) || index >= find_devices(f, found)) return false;
  const Found& d = found[index];
  uint64_t memory = 0, local = 0, cache = 0;
  size_t group = 0;
  uint32_t bits = 0, units = 0;
  f.get_device_info(d.device, device_name, sizeof info->name - 1, info->name, nullptr);
  char platform[200] = "";
  f.get_platform_info(d.platform, platform_name, sizeof platform - 1, platform, nullptr);
  snprintf(info->detail, sizeof info->detail, "%s, %s", types[rank_of(d.type)].name, platform);
  f.get_device_info(d.device, device_memory, sizeof memory, &memory, nullptr);
  f.get_device_info(d.device, device_cache, sizeof cache, &cache, nullptr);
  f.get_device_info(d.device, device_local_memory, sizeof local, &local, nullptr);
  f.get_device_info(d.device, device_group, sizeof group, &group, nullptr);
  f.get_device_info(d.device, device_alignment, sizeof bits, &bits, nullptr);
  f.get_device_info(d.device, device_units, sizeof units, &units, nullptr);
  info->units = units;
  info->memory_bytes = memory, info->cache_bytes = cache, info->shared_bytes = local, info->threads = group,
  info->alignment = bits / 8;
  return true;
}

int open(DeviceContext* context, int index) {
  Functions f;
  Found found[most_devices];
  if (!functions(&f) || index >= find_devices(f, found)) return device_not_found;
  int32_t status = 0;
  context->context = f.create_context(nullptr, 1, &found[index].device, nullptr, nullptr, &status);
  if (status != 0) return status;
  context->queue = f.create_queue(context->context, found[index].device, 0, &status);
  return status;
}

void close(DeviceContext* context, int) {
  Functions f;
  if (!functions(&f)) return;
  if (context->queue) {
    halide_device_release(context, halide_opencl_device_interface());
    f.release_queue(context->queue);
  }
  if (context->context) f.release_context(context->context);
}

int zero(DeviceContext* context, halide_buffer_t* buffer, size_t bytes) {
  Functions f;
  if (!functions(&f)) return device_not_found;
  const float pattern = 0;
  const auto memory = reinterpret_cast<Handle>(halide_opencl_get_cl_mem(context, buffer));
  return f.fill(context->queue, memory, &pattern, sizeof pattern, 0, bytes, 0, nullptr, nullptr);
}

bool measure(DeviceContext* context, int index, const DeviceInfo& info, rn_device_peak* peak) {
  Functions f;
  Found found[most_devices];
  if (!functions(&f) || index >= find_devices(f, found)) return false;
  return resnetc::runtime::measure_opencl(library(), context->context, context->queue, found[index].device, info, peak);
}

constexpr const char* install = "OpenCL's loader (ocl-icd-libopencl1 in Debian) and the GPU's driver";
constexpr resnetc::runtime::Driver driver = {libopencl, install, halide_opencl_device_interface,
                                             missing,   count,   platform_not_found,
                                             info,      open,    close,
                                             zero,      measure, nullptr,
                                             nullptr,   nullptr, nullptr,
                                             nullptr,   nullptr};

}  // namespace

extern "C" {

const rn_device rn_opencl = resnetc::runtime::device_of<driver>("OpenCL");

// ---- Hooks of Halide's runtime.

// Halide's own, under the name that it has in our copy.
int rn_opencl_run(void* user_context, void* state, const char* entry, int blocks_x, int blocks_y, int blocks_z,
                  int threads_x, int threads_y, int threads_z, int shared_bytes, size_t* sizes, void** arguments,
                  int8_t* is_buffer);

// A kernel without asserts goes on after an error, and Halide's runtime aborts when it is to run what the driver could
// not compile.
int halide_opencl_run(void* user_context, void* state, const char* entry, int blocks_x, int blocks_y, int blocks_z,
                      int threads_x, int threads_y, int threads_z, int shared_bytes, size_t* sizes, void** arguments,
                      int8_t* is_buffer) {
  if (static_cast<const DeviceContext*>(user_context)->worker.pool->error) return halide_error_code_generic_error;
  return rn_opencl_run(user_context, state, entry, blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z,
                       shared_bytes, sizes, arguments, is_buffer);
}

void* halide_opencl_get_symbol(void*, const char* name) {
  void* from = library();
  return from ? dlsym(from, name) : nullptr;
}

int halide_acquire_cl_context(void* user_context, Handle* context, Handle* queue, bool) {
  if (!user_context) return -1;
  const auto* device = static_cast<const DeviceContext*>(user_context);
  *context = device->context;
  *queue = device->queue;
  return 0;
}

int halide_release_cl_context(void*) {
  return 0;
}

// Each handle releases what is its own; at the end of the process nothing is left.
void halide_opencl_cleanup() {}
}
