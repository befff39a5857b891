// On a device in the host's memory (host_device.c), with kernels in C.
#include "compiler/tune/device_runner.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "compiler/files.h"
#include "compiler/process.h"
#include "compiler/tune/time_kernels.h"
#include "schedules/compile_kernel.h"
#include "tests/runtime/temporary_folder.h"

using namespace resnetc;

namespace {

constexpr const char* target = "x86-64-linux-sse41-opencl";

const Machine& machine() {
  static const Machine of_tests = machine_for(target, 1);
  return of_tests;
}

std::string compiled(const test::TemporaryFolder& folder, const std::string& name, const std::string& source) {
  run_command({{"cc", "-shared", "-fPIC", "-o", name, source}, folder.path});
  return folder / name;
}

std::string host_device(const test::TemporaryFolder& folder) {
  return compiled(folder, "device.so", RESNETC_SOURCE_DIR "/tests/compiler/tune/host_device.c");
}

template <class T>
T& variable(const std::string& library, const char* name) {
  void* found = dlsym(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL), name);
  REQUIRE(found);
  return *static_cast<T*>(found);
}

constexpr const char* buffer_source = R"(#include <math.h>
#include <stdint.h>
struct Dimension { int32_t min, extent, stride; uint32_t flags; };
struct Buffer {
  float *device; void *interface; float *host; uint64_t flags; uint32_t type; int32_t dimensions;
  struct Dimension *dim; void *padding;
};
)";

// Of relu on images of 3 x 5 with 8 channels. A test says what its kernel does after that: it returns 0 unless told
// otherwise.
constexpr const char* relu_source = R"(
static float *at(struct Buffer *b, int c, int x, int y, int n) {{
  const struct Dimension *d = b->dim;
  return b->device + (c - d[0].min) * d[0].stride + (x - d[1].min) * d[1].stride + (y - d[2].min) * d[2].stride +
         (n - d[3].min) * d[3].stride;
}}
int {symbol}_argv(void **arguments) {{
  static int calls = 0;
  int *const is_lost = arguments[0];
  struct Buffer *input = arguments[1], *result = arguments[2];
  calls++;
  const int is_checked = isnan(*at(result, 0, 0, 0, 0)); // before a check the result is spoiled
  for (int n = 0; n < result->dim[3].extent; n++)
    for (int y = 0; y < 3; y++)
      for (int x = 0; x < 5; x++)
        for (int c = 0; c < 8; c++) *at(result, c, x, y, n) = fmaxf(*at(input, c, x, y, n), 0);
  {breaks}
  (void)is_lost, (void)is_checked;
  return 0;
}}
)";

}  // namespace

TEST_CASE("what was right on a device before it was timed is checked again afterwards") {
  const test::TemporaryFolder folder;
  KernelKey key{Relu{}, {image_type(3, 5, 8)}, image_type(3, 5, 8)};
  key.operands[0].border = {1, 1, 1, 1};
  key.result.border = {1, 2, 1, 2};
  const std::string device = host_device(folder);
  int& is_lost = variable<int>(device, "host_is_lost");
  const auto object = [&](const std::string& name, const std::string& breaks) {
    write_file(folder / (name + ".c"),
               buffer_source + fmt::format(fmt::runtime(relu_source), fmt::arg("breaks", breaks),
                                           fmt::arg("symbol", kernel_symbol(key, Device::opencl))));
    return TimedObject{candidates(key, machine()).front(), compiled(folder, name + ".so", name + ".c"), 0};
  };
  const auto status_of = [&](const std::vector<TimedObject>& objects) {
    is_lost = 0;
    const TimingRequest request{to_string(key), target, 1, 2, false, device, 0, objects};
    write_file(folder / "request.json", to_json(request));
    return time_kernels(folder / "request.json");
  };
  const std::string wrong_later = "if (calls > 1) *at(result, 0, 0, 0, 0) += 1;";
  CHECK(status_of({object("right", ""), object("as_right", "")}) == 0);
  CHECK(running_object(folder / "request.json", 2) == 1);
  CHECK(status_of({object("right2", ""), object("wrong", wrong_later)}) == 0);
  CHECK(status_of({object("wrong2", wrong_later), object("right3", "")}) == lost_device_status);
  CHECK(status_of({object("never", "return 1;"), object("wrong3", wrong_later), object("right4", "")}) ==
        lost_device_status);
  // In its second check it takes the device with it.
  const std::string breaks_later = "if (calls > 1 && is_checked) *is_lost = 1;";
  CHECK(status_of({object("right5", ""), object("breaks", breaks_later)}) == lost_device_status);
  is_lost = 0;
}
