// The two kernels of peak.h for OpenCL, which the driver compiles. Floats are as wide as the device says it computes
// with: on a CPU threads are not made into vectors.
#include <stdint.h>
#include <stdio.h>

#include "peak.h"

namespace resnetc::runtime {
namespace {

static_assert(peak_block == 256 && copies_a_thread == 4 && chains == 12 && adds_a_round == 8);

constexpr uint32_t native_vector_width = 0x103A;

#define ADD(n) "x" #n " = mad(x" #n ", r, a);"
#define ALL_CHAINS ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7) ADD(8) ADD(9) ADD(10) ADD(11)

// FLOATS is float, float2 … float16, FIRST(x) the first of them. No sum is negative, so nothing is stored; but what is
// not used would not be computed.
constexpr const char* source =
    "__kernel void multiply_add(__global float* result, int rounds, float ratio, float addend) {\n"
    "FLOATS r = ratio, a = addend, x0 = (float)get_local_id(0), x1 = x0 + a, x2 = x1 + a, x3 = x2 + a, x4 = x3 + a,\n"
    "x5 = x4 + a, x6 = x5 + a, x7 = x6 + a, x8 = x7 + a, x9 = x8 + a, x10 = x9 + a, x11 = x10 + a;\n"
    "for (int i = 0; i < rounds; i++) {\n" ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS
        ALL_CHAINS
    "}\n"
    "x0 += x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11;\n"
    "if (NEGATIVE(x0)) result[0] = 1;\n"
    "}\n"
    "__kernel void copy(__global float4* to, __global const float4* from) {\n"
    "size_t i = get_group_id(0) * 1024 + get_local_id(0);\n"
    "to[i] = from[i]; to[i + 256] = from[i + 256]; to[i + 512] = from[i + 512]; to[i + 768] = from[i + 768];\n"
    "}\n";

using Handle = void*;

struct Functions {
  int32_t (*get_device_info)(Handle, uint32_t, size_t, void*, size_t*);
  Handle (*create_program)(Handle, uint32_t, const char**, const size_t*, int32_t*);
  int32_t (*build_program)(Handle, uint32_t, const Handle*, const char*, void*, void*);
  int32_t (*release_program)(Handle);
  Handle (*create_kernel)(Handle, const char*, int32_t*);
  int32_t (*set_argument)(Handle, uint32_t, size_t, const void*);
  int32_t (*release_kernel)(Handle);
  Handle (*create_buffer)(Handle, uint64_t, size_t, void*, int32_t*);
  int32_t (*release_memory)(Handle);
  int32_t (*launch)(Handle, Handle, uint32_t, const size_t*, const size_t*, const size_t*, uint32_t, void*, void*);
  int32_t (*finish)(Handle);
};

bool functions(void* from, Functions* f) {
  return find(from, "clGetDeviceInfo", &f->get_device_info) &&
         find(from, "clCreateProgramWithSource", &f->create_program) &&
         find(from, "clBuildProgram", &f->build_program) && find(from, "clReleaseProgram", &f->release_program) &&
         find(from, "clCreateKernel", &f->create_kernel) && find(from, "clSetKernelArg", &f->set_argument) &&
         find(from, "clReleaseKernel", &f->release_kernel) && find(from, "clCreateBuffer", &f->create_buffer) &&
         find(from, "clReleaseMemObject", &f->release_memory) && find(from, "clEnqueueNDRangeKernel", &f->launch) &&
         find(from, "clFinish", &f->finish);
}

struct State {
  Functions f;
  Handle context, queue, program, multiply_add, copy, buffers[2];
  unsigned blocks;
  size_t bytes;
};

bool launch(State* s, Handle kernel, size_t blocks) {
  const size_t threads = blocks * peak_block, block = peak_block;
  return s->f.launch(s->queue, kernel, 1, nullptr, &threads, &block, 0, nullptr, nullptr) == 0;
}

template <class Value>
bool set(State* s, Handle kernel, uint32_t index, const Value& value) {
  return s->f.set_argument(kernel, index, sizeof value, &value) == 0;
}

bool multiply_add(void* state, int rounds) {
  auto* s = static_cast<State*>(state);
  return set(s, s->multiply_add, 0, s->buffers[0]) && set(s, s->multiply_add, 1, rounds) &&
         set(s, s->multiply_add, 2, ratio) && set(s, s->multiply_add, 3, addend) &&
         launch(s, s->multiply_add, s->blocks);
}

bool copy(void* state, bool back) {
  auto* s = static_cast<State*>(state);
  return set(s, s->copy, 0, s->buffers[back ? 0 : 1]) && set(s, s->copy, 1, s->buffers[back ? 1 : 0]) &&
         launch(s, s->copy, s->bytes / bytes_a_block);
}

bool finish(void* state) {
  const auto* s = static_cast<State*>(state);
  return s->f.finish(s->queue) == 0;
}

bool build(State* s, Handle device, uint32_t width) {
  const char* text = source;
  char options[100];
  if (width > 1) {
    snprintf(options, sizeof options, "-DFLOATS=float%u -DNEGATIVE(x)=any(x<0)", width);
  } else {
    snprintf(options, sizeof options, "-DFLOATS=float -DNEGATIVE(x)=(x<0)");
  }
  int32_t status = 0;
  s->program = s->f.create_program(s->context, 1, &text, nullptr, &status);
  if (!s->program || s->f.build_program(s->program, 1, &device, options, nullptr, nullptr) != 0) return false;
  s->multiply_add = s->f.create_kernel(s->program, "multiply_add", &status);
  s->copy = s->f.create_kernel(s->program, "copy", &status);
  return s->multiply_add && s->copy;
}

bool allocate(State* s) {
  constexpr uint64_t read_and_write = 1;
  int32_t status = 0;
  for (Handle& buffer : s->buffers) buffer = s->f.create_buffer(s->context, read_and_write, s->bytes, nullptr, &status);
  return s->buffers[0] && s->buffers[1];
}

}  // namespace

bool measure_opencl(void* library, void* context, void* queue, void* device, const DeviceInfo& info,
                    rn_device_peak* peak) {
  State s = {};
  if (!functions(library, &s.f)) return false;
  s.context = context;
  s.queue = queue;
  s.blocks = blocks_of(info);
  s.bytes = copied_bytes(info);
  uint32_t width = 1;
  s.f.get_device_info(device, native_vector_width, sizeof width, &width, nullptr);
  if (width != 2 && width != 4 && width != 8 && width != 16) width = 1;
  const PeakKernels kernels = {
      &s, multiply_add, copy, finish, flop_a_round(info, static_cast<int>(width)), 2.0 * static_cast<double>(s.bytes)};
  const bool done = build(&s, device, width) && allocate(&s) && measure_peak(kernels, peak);
  s.f.finish(queue);
  for (Handle buffer : s.buffers)
    if (buffer) s.f.release_memory(buffer);
  for (Handle kernel : {s.multiply_add, s.copy})
    if (kernel) s.f.release_kernel(kernel);
  if (s.program) s.f.release_program(s.program);
  return done;
}

}  // namespace resnetc::runtime
