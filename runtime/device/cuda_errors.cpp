#include "cuda_errors.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace resnetc::runtime {
namespace {

using Handle = void*;
using DeviceAddress = uint64_t;

thread_local int last_error;  // a call of the driver has no handle of ours, and its error is read right behind it

template <int number, class... Arguments>
struct Noted {
  static int (*function)(Arguments...);
  static int call(Arguments... arguments) {
    const int error = function(arguments...);
    if (error != 0) last_error = error;
    return error;
  }
};
template <int number, class... Arguments>
int (*Noted<number, Arguments...>::function)(Arguments...);

template <int number, class... Arguments>
void* keep_error(void* function) {
  using Of = Noted<number, Arguments...>;
  Of::function = reinterpret_cast<int (*)(Arguments...)>(function);
  return reinterpret_cast<void*>(&Of::call);
}

// Each has a number of its own, for some take the same arguments.
struct Entry {
  const char* name;
  void* (*wrap)(void* function);
};
constexpr Entry entries[] = {
    {"cuModuleLoadData", keep_error<0, Handle*, const void*>},
    {"cuModuleLoadDataEx", keep_error<1, Handle*, const void*, unsigned, int*, void**>},
    {"cuModuleGetFunction", keep_error<2, Handle*, Handle, const char*>},
    {"cuLaunchKernel", keep_error<3, Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                  Handle, void**, void**>},
    {"cuStreamSynchronize", keep_error<4, Handle>},
    {"cuCtxSynchronize", keep_error<5>},
    {"cuMemAlloc_v2", keep_error<6, DeviceAddress*, size_t>},
    {"cuMemcpyHtoD_v2", keep_error<7, DeviceAddress, const void*, size_t>},
    {"cuMemcpyHtoDAsync_v2", keep_error<8, DeviceAddress, const void*, size_t, Handle>},
    {"cuMemcpyDtoH_v2", keep_error<9, void*, DeviceAddress, size_t>},
    {"cuMemcpyDtoHAsync_v2", keep_error<10, void*, DeviceAddress, size_t, Handle>},
};

}  // namespace

void* with_note(const char* name, void* function) {
  for (const Entry& entry : entries)
    if (function && strcmp(entry.name, name) == 0) return entry.wrap(function);
  return function;
}

int last_cuda_error() {
  return last_error;
}

bool is_of_old_driver(int cuda_error) {
  constexpr int no_binary_for_gpu = 209, unsupported_ptx_version = 222;
  return cuda_error == no_binary_for_gpu || cuda_error == unsupported_ptx_version;
}

}  // namespace resnetc::runtime
