// Devices of CUDA, and the hooks by which Halide's runtime finds the one of a handle. The few declarations of the
// driver's interface stand here, so that no toolkit is needed.
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda_errors.h"
#include "driver.h"
#include "peak.h"

using resnetc::runtime::DeviceContext;
using resnetc::runtime::DeviceInfo;
using resnetc::runtime::find;

extern "C" const struct halide_device_interface_t* halide_cuda_device_interface();
extern "C" uintptr_t halide_cuda_get_device_ptr(void* user_context, struct halide_buffer_t* buffer);

namespace {

constexpr int threads_of_block = 1, shared_of_block = 8, multiprocessors = 16, level2_bytes = 38, capability_major = 75,
              capability_minor = 76;
constexpr int no_driver = 999;  // an error that the driver itself calls unknown

constexpr int most_devices = 64;

using Handle = void*;

struct Functions {
  int (*initialise)(unsigned);
  int (*get_count)(int*);
  int (*get)(int*, int);
  int (*get_name)(char*, int, int);
  int (*get_memory)(size_t*, int);
  int (*get_attribute)(int*, int, int);
  int (*retain_context)(Handle*, int);
  int (*release_context)(int);
  int (*push_context)(Handle);
  int (*pop_context)(Handle*);
  int (*create_stream)(Handle*, unsigned);
  int (*destroy_stream)(Handle);
  int (*fill)(unsigned long long, unsigned char, size_t, Handle);
};

// Not in every driver that runs the kernels: since CUDA 11.4.
struct GraphFunctions {
  int (*begin_capture)(Handle, int);
  int (*end_capture)(Handle, Handle*);
  int (*instantiate)(Handle*, Handle, unsigned long long);
  int (*launch)(Handle, Handle);
  int (*destroy_graph)(Handle);
  int (*destroy)(Handle);
};

constexpr const char* libcuda = "libcuda.so.1";

void* library() {
  return dlopen(libcuda, RTLD_NOW | RTLD_LOCAL);  // counted: the second time costs next to nothing
}

bool functions(Functions* f) {
  void* from = library();
  return from && find(from, "cuInit", &f->initialise) && find(from, "cuDeviceGetCount", &f->get_count) &&
         find(from, "cuDeviceGet", &f->get) && find(from, "cuDeviceGetName", &f->get_name) &&
         find(from, "cuDeviceTotalMem_v2", &f->get_memory) && find(from, "cuDeviceGetAttribute", &f->get_attribute) &&
         find(from, "cuDevicePrimaryCtxRetain", &f->retain_context) &&
         find(from, "cuDevicePrimaryCtxRelease_v2", &f->release_context) &&
         find(from, "cuCtxPushCurrent_v2", &f->push_context) && find(from, "cuCtxPopCurrent_v2", &f->pop_context) &&
         find(from, "cuStreamCreate", &f->create_stream) && find(from, "cuStreamDestroy_v2", &f->destroy_stream) &&
         find(from, "cuMemsetD8Async", &f->fill);
}

bool graph_functions(GraphFunctions* f) {
  void* from = library();
  return from && find(from, "cuStreamBeginCapture_v2", &f->begin_capture) &&
         find(from, "cuStreamEndCapture", &f->end_capture) &&
         find(from, "cuGraphInstantiateWithFlags", &f->instantiate) && find(from, "cuGraphLaunch", &f->launch) &&
         find(from, "cuGraphDestroy", &f->destroy_graph) && find(from, "cuGraphExecDestroy", &f->destroy);
}

// What the functions here and Halide's runtime, which aborts without them, take from the library.
const char* missing() {
  constexpr const char* names[] = {"cuInit",
                                   "cuDeviceGetCount",
                                   "cuDeviceGet",
                                   "cuDeviceGetAttribute",
                                   "cuDeviceGetName",
                                   "cuDeviceTotalMem_v2",
                                   "cuDevicePrimaryCtxRetain",
                                   "cuDevicePrimaryCtxRelease_v2",
                                   "cuCtxCreate_v2",
                                   "cuCtxDestroy_v2",
                                   "cuCtxGetApiVersion",
                                   "cuCtxGetDevice",
                                   "cuCtxPopCurrent_v2",
                                   "cuCtxPushCurrent_v2",
                                   "cuCtxSynchronize",
                                   "cuProfilerStop",
                                   "cuModuleLoadData",
                                   "cuModuleLoadDataEx",
                                   "cuModuleUnload",
                                   "cuModuleGetFunction",
                                   "cuMemAlloc_v2",
                                   "cuMemFree_v2",
                                   "cuMemsetD8Async",
                                   "cuMemcpyHtoD_v2",
                                   "cuMemcpyDtoH_v2",
                                   "cuMemcpyDtoD_v2",
                                   "cuMemcpy3D_v2",
                                   "cuMemcpyHtoDAsync_v2",
                                   "cuMemcpyDtoHAsync_v2",
                                   "cuMemcpyDtoDAsync_v2",
                                   "cuPointerGetAttribute",
                                   "cuLaunchKernel",
                                   "cuStreamCreate",
                                   "cuStreamDestroy_v2",
                                   "cuStreamSynchronize"};
  return resnetc::runtime::first_missing(libcuda, library(), names);
}

int count() {
  Functions f;
  int devices = 0;
  if (!functions(&f)) return 0;
  const int error = f.initialise(0), later = error == 0 ? f.get_count(&devices) : error;
  if (later != 0) return -later;
  return devices < most_devices ? devices : most_devices;
}

bool info(int index, DeviceInfo* info) {
  Functions f;
  int device = 0;
  if (!functions(&f) || f.initialise(0) != 0 || f.get(&device, index) != 0) return false;
  size_t memory = 0;
  int threads = 0, shared = 0, units = 0, cache = 0, major = 0, minor = 0;
  f.get_name(info->name, sizeof info->name - 1, device);
  f.get_memory(&memory, device);
  f.get_attribute(&threads, threads_of_block, device);
  f.get_attribute(&shared, shared_of_block, device);
  f.get_attribute(&units, multiprocessors, device);
  f.get_attribute(&cache, level2_bytes, device);
  f.get_attribute(&major, capability_major, device);
  f.get_attribute(&minor, capability_minor, device);
  snprintf(info->detail, sizeof info->detail, "compute capability %d.%d", major, minor);
  info->memory_bytes = memory, info->alignment = 256;
  info->cache_bytes = static_cast<unsigned>(cache);
  info->threads = static_cast<unsigned>(threads), info->shared_bytes = static_cast<unsigned>(shared);
  info->units = static_cast<unsigned>(units);
  info->capability = 10 * major + minor;
  return true;
}

// The handles of a device share its primary context, by which Halide's runtime knows what it has compiled: it goes with
// the last of them.
struct Shared {
  int handles, device;
};
Shared shared[most_devices];
pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

// Runs a function with the handle's context as the thread's; returns its error, or the driver's.
template <class Function>
int within(DeviceContext* context, Function&& function) {
  Functions f;
  if (!functions(&f)) return no_driver;
  if (const int error = f.push_context(context->context)) return error;
  const int error = function();
  Handle popped = nullptr;
  f.pop_context(&popped);  // whatever the caller's thread has as its context stays so
  return error;
}

int retain(const Functions& f, DeviceContext* context, int index) {
  int device = 0;
  int error = f.initialise(0);
  if (error == 0) error = f.get(&device, index);
  if (error == 0) error = f.retain_context(&context->context, device);
  if (error != 0) return error;
  shared[index].device = device;
  shared[index].handles++;
  return 0;
}

int open(DeviceContext* context, int index) {
  Functions f;
  if (!functions(&f) || index >= most_devices) return no_driver;
  pthread_mutex_lock(&shared_lock);
  const int error = retain(f, context, index);
  pthread_mutex_unlock(&shared_lock);
  if (error != 0) {
    context->context = nullptr;
    return error;
  }
  // Halide's runtime does all in this one, copies too. What else the process has in the default stream is not waited
  // for, nor does it spoil a recording.
  constexpr unsigned non_blocking = 1;
  return within(context, [&] { return f.create_stream(&context->queue, non_blocking); });
}

void close(DeviceContext* context, int index) {
  Functions f;
  if (!context->context || !functions(&f)) return;
  pthread_mutex_lock(&shared_lock);
  if (--shared[index].handles == 0) halide_device_release(context, halide_cuda_device_interface());
  if (context->queue) within(context, [&] { return f.destroy_stream(context->queue); });
  f.release_context(shared[index].device);
  pthread_mutex_unlock(&shared_lock);
}

int zero(DeviceContext* context, halide_buffer_t* buffer, size_t bytes) {
  Functions f;
  if (!functions(&f)) return no_driver;
  const uintptr_t address = halide_cuda_get_device_ptr(context, buffer);
  return within(context, [&] { return f.fill(address, 0, bytes, context->queue); });
}

bool measure(DeviceContext* context, int, const DeviceInfo& info, rn_device_peak* peak) {
  return within(context,
                [&] { return resnetc::runtime::measure_cuda(library(), context->queue, info, peak) ? 0 : -1; }) == 0;
}

// A graph, with what starting it takes: functions are looked up once for each recording, not for each start.
struct Recording {
  Handle graph;
  int (*launch)(Handle, Handle);
  int (*push_context)(Handle);
  int (*pop_context)(Handle*);
};

bool begin_recording(DeviceContext* context) {
  constexpr int this_thread_only = 1;  // other threads may go on with handles of their own
  GraphFunctions f;
  return graph_functions(&f) && within(context, [&] { return f.begin_capture(context->queue, this_thread_only); }) == 0;
}

void* end_recording(DeviceContext* context) {
  Functions f;
  GraphFunctions graphs;
  Handle captured = nullptr, graph = nullptr;
  if (!functions(&f) || !graph_functions(&graphs)) return nullptr;
  within(context, [&] {
    if (const int error = graphs.end_capture(context->queue, &captured); error != 0 || !captured) return error;
    if (graphs.instantiate(&graph, captured, 0) != 0) graph = nullptr;
    return graphs.destroy_graph(captured);
  });
  auto* recording = graph ? static_cast<Recording*>(malloc(sizeof(Recording))) : nullptr;
  if (recording) {
    *recording = {graph, graphs.launch, f.push_context, f.pop_context};
  } else if (graph) {
    within(context, [&] { return graphs.destroy(graph); });
  }
  return recording;
}

int replay(DeviceContext* context, void* recording) {
  const auto* r = static_cast<const Recording*>(recording);
  if (const int error = r->push_context(context->context)) return error;
  const int error = r->launch(r->graph, context->queue);
  Handle popped = nullptr;
  r->pop_context(&popped);
  return error;
}

void forget(DeviceContext* context, void* recording) {
  GraphFunctions graphs;
  const Handle graph = static_cast<const Recording*>(recording)->graph;
  if (graph_functions(&graphs)) within(context, [&] { return graphs.destroy(graph); });
  free(recording);
}

constexpr resnetc::runtime::Driver driver = {libcuda,
                                             "the GPU's driver",
                                             halide_cuda_device_interface,
                                             missing,
                                             count,
                                             0,
                                             info,
                                             open,
                                             close,
                                             zero,
                                             measure,
                                             begin_recording,
                                             end_recording,
                                             replay,
                                             forget,
                                             resnetc::runtime::last_cuda_error,
                                             resnetc::runtime::is_of_old_driver};

}  // namespace

extern "C" {

const rn_device rn_cuda = resnetc::runtime::device_of<driver>("CUDA");

// ---- Hooks of Halide's runtime.

// Halide's own, under the name that it has in our copy.
int rn_cuda_run(void* user_context, void* state, const char* entry, int blocks_x, int blocks_y, int blocks_z,
                int threads_x, int threads_y, int threads_z, int shared_bytes, size_t* sizes, void** arguments,
                int8_t* is_buffer);

// A kernel without asserts goes on after an error, and Halide's runtime aborts when it is to run what the driver could
// not compile.
int halide_cuda_run(void* user_context, void* state, const char* entry, int blocks_x, int blocks_y, int blocks_z,
                    int threads_x, int threads_y, int threads_z, int shared_bytes, size_t* sizes, void** arguments,
                    int8_t* is_buffer) {
  if (static_cast<const DeviceContext*>(user_context)->worker.pool->error) return halide_error_code_generic_error;
  return rn_cuda_run(user_context, state, entry, blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z,
                     shared_bytes, sizes, arguments, is_buffer);
}

void* halide_cuda_get_symbol(void*, const char* name) {
  void* from = library();
  return from ? resnetc::runtime::with_note(name, dlsym(from, name)) : nullptr;
}

int halide_cuda_acquire_context(void* user_context, Handle* context, bool) {
  if (!user_context) return -1;
  *context = static_cast<const DeviceContext*>(user_context)->context;
  return 0;
}

int halide_cuda_release_context(void*) {
  return 0;
}

int halide_cuda_get_stream(void* user_context, Handle, Handle* stream) {
  *stream = user_context ? static_cast<const DeviceContext*>(user_context)->queue : nullptr;
  return 0;
}

// Each handle releases what is its own; at the end of the process nothing is left.
void halide_cuda_cleanup() {}
}
