// The two kernels of peak.h for CUDA, in PTX, which the driver assembles for its device.
#include "peak.h"

namespace resnetc::runtime {
namespace {

static_assert(peak_block == 256 && copies_a_thread == 4 && chains == 12 && adds_a_round == 8);

#define ADD(n) "fma.rn.f32 %x" #n ", %x" #n ", %ratio, %addend;\n"
#define ALL_CHAINS ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7) ADD(8) ADD(9) ADD(10) ADD(11)
// Chains begin with other values, or they would be one.
#define START(n, before) "add.f32 %x" #n ", %x" #before ", %addend;\n"
#define SUM(n) "add.f32 %x0, %x0, %x" #n ";\n"
#define COPY(offset)                                  \
  "ld.global.v4.f32 {%a, %b, %c, %d}, [%from+" offset \
  "];\n"                                              \
  "st.global.v4.f32 [%to+" offset "], {%a, %b, %c, %d};\n"

constexpr const char* source =
    ".version 6.0\n.target sm_30\n.address_size 64\n"
    ".visible .entry multiply_add(.param .u64 result, .param .u32 rounds, .param .f32 ratio, .param .f32 addend) {\n"
    ".reg .u64 %result;\n.reg .u32 %rounds, %thread;\n.reg .f32 %ratio, %addend, %x<12>;\n.reg .pred %again, %kept;\n"
    "ld.param.u64 %result, [result];\nld.param.u32 %rounds, [rounds];\n"
    "ld.param.f32 %ratio, [ratio];\nld.param.f32 %addend, [addend];\n"
    "mov.u32 %thread, %tid.x;\ncvt.rn.f32.u32 %x0, %thread;\n"
    // clang-format off
    START(1, 0) START(2, 1) START(3, 2) START(4, 3) START(5, 4) START(6, 5) START(7, 6) START(8, 7) START(9, 8)
    START(10, 9) START(11, 10)
    "AGAIN:\n"
    ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS ALL_CHAINS
    "sub.u32 %rounds, %rounds, 1;\nsetp.ne.u32 %again, %rounds, 0;\n@%again bra AGAIN;\n"
    SUM(1) SUM(2) SUM(3) SUM(4) SUM(5) SUM(6) SUM(7) SUM(8) SUM(9) SUM(10) SUM(11)
    // clang-format on
    // Never so, for no sum is negative; but what is not used would not be computed.
    "setp.lt.f32 %kept, %x0, 0f00000000;\n@%kept st.global.f32 [%result], %x0;\nret;\n}\n"
    ".visible .entry copy(.param .u64 to, .param .u64 from) {\n"
    ".reg .u64 %to, %from, %offset;\n.reg .u32 %thread, %block;\n.reg .f32 %a, %b, %c, %d;\n"
    "ld.param.u64 %to, [to];\nld.param.u64 %from, [from];\n"
    "mov.u32 %thread, %tid.x;\nmov.u32 %block, %ctaid.x;\n"
    "mad.lo.u32 %thread, %block, 1024, %thread;\nmul.wide.u32 %offset, %thread, 16;\n"
    "add.u64 %to, %to, %offset;\nadd.u64 %from, %from, %offset;\n" COPY("0") COPY("4096") COPY("8192")
        COPY("12288") "ret;\n}\n";

using Handle = void*;
using Address = unsigned long long;

struct Functions {
  int (*load)(Handle*, const void*);
  int (*unload)(Handle);
  int (*get_function)(Handle*, Handle, const char*);
  int (*allocate)(Address*, size_t);
  int (*free)(Address);
  int (*launch)(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void**, void**);
  int (*synchronise)(Handle);
};

bool functions(void* from, Functions* f) {
  return find(from, "cuModuleLoadData", &f->load) && find(from, "cuModuleUnload", &f->unload) &&
         find(from, "cuModuleGetFunction", &f->get_function) && find(from, "cuMemAlloc_v2", &f->allocate) &&
         find(from, "cuMemFree_v2", &f->free) && find(from, "cuLaunchKernel", &f->launch) &&
         find(from, "cuStreamSynchronize", &f->synchronise);
}

struct State {
  Functions f;
  Handle stream, module, multiply_add, copy;
  unsigned blocks;
  size_t bytes;
  Address buffers[2];
};

bool launch(State* s, Handle kernel, size_t blocks, void** arguments) {
  return s->f.launch(kernel, static_cast<unsigned>(blocks), 1, 1, peak_block, 1, 1, 0, s->stream, arguments, nullptr) ==
         0;
}

bool multiply_add(void* state, int rounds) {
  auto* s = static_cast<State*>(state);
  float values[] = {ratio, addend};
  void* arguments[] = {&s->buffers[0], &rounds, &values[0], &values[1]};
  return launch(s, s->multiply_add, s->blocks, arguments);
}

bool copy(void* state, bool back) {
  auto* s = static_cast<State*>(state);
  void* arguments[] = {&s->buffers[back ? 0 : 1], &s->buffers[back ? 1 : 0]};
  return launch(s, s->copy, s->bytes / bytes_a_block, arguments);
}

bool finish(void* state) {
  const auto* s = static_cast<State*>(state);
  return s->f.synchronise(s->stream) == 0;
}

}  // namespace

bool measure_cuda(void* library, void* stream, const DeviceInfo& info, rn_device_peak* peak) {
  State s = {};
  if (!functions(library, &s.f)) return false;
  s.stream = stream;
  s.blocks = blocks_of(info);
  s.bytes = copied_bytes(info);
  const PeakKernels kernels = {&s,     multiply_add,          copy,
                               finish, flop_a_round(info, 1), 2.0 * static_cast<double>(s.bytes)};
  const bool done = s.f.load(&s.module, source) == 0 &&
                    s.f.get_function(&s.multiply_add, s.module, "multiply_add") == 0 &&
                    s.f.get_function(&s.copy, s.module, "copy") == 0 && s.f.allocate(&s.buffers[0], s.bytes) == 0 &&
                    s.f.allocate(&s.buffers[1], s.bytes) == 0 && measure_peak(kernels, peak);
  for (const Address buffer : s.buffers)
    if (buffer) s.f.free(buffer);
  if (s.module) s.f.unload(s.module);
  return done;
}

}  // namespace resnetc::runtime
