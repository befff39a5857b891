// On a device in the host's memory (host_device.c), with kernels in C.
#include "compiler/tune/device_runner.h"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>
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

TEST_CASE("cold weights take turns from one measurement to the next, recorded or not") {
  const test::TemporaryFolder folder;
  const std::string device = host_device(folder);
  double& launch_seconds = variable<double>(device, "host_launch_seconds");
  int& most_recordings = variable<int>(device, "host_most_recordings");
  const int& recordings = variable<int>(device, "host_recordings");
  struct Case {
    std::string key;
    size_t copies;  // of which two thirds of the weights at most are in the cache, of 1 MiB
  };
  const Case cases[] = {{"conv2d_i6x6x8b1_w5x3x3x8_w5_to_i6x6x5_padding1_relu_f32", 32},
                        {"conv2d_i4x4x128b1_w128x3x3x128_w128_to_i4x4x128_padding1_relu_f32", 4}};
  for (const Case& c : cases) {
    const KernelKey key = parse_key(c.key);
    write_file(folder / "conv.c", fmt::format("{}void* weights[1 << 16];\nint calls = 0;\n"
                                              "int {}_argv(void** arguments) {{\n"
                                              "  weights[calls++] = ((struct Buffer*)arguments[2])->device;\n"
                                              "  return 0;\n}}\n",
                                              buffer_source, kernel_symbol(key, Device::opencl)));
    const std::string library = compiled(folder, fmt::format("conv{}.so", c.copies), "conv.c");
    void* const* weights = &variable<void*>(library, "weights");
    int& calls = variable<int>(library, "calls");
    KernelData data(key, 1, 1);
    DeviceData on_device(device, machine(), 0, 0, data, 1);
    for (const bool cold : {true, false})
      for (const double seconds : {1.5e-4, 7e-5, 1e-6, 1e-2})
        for (const int most : {0, 1, 9}) {
          const std::string label =
              fmt::format("{} copies, {} cold, {} s, {} recordings", c.copies, cold, seconds, most);
          INFO(label);
          launch_seconds = seconds;
          most_recordings = most;
          DeviceRunner runner(on_device, candidates(key, machine()).front(), machine(), library, cold);
          CHECK(runner.time() == doctest::Approx(seconds));
          calls = 0;
          for (int i = 0; i < 20; i++) runner.time();
          CHECK(calls * seconds >= 20 * 1e-3);
          const size_t copies = cold ? c.copies : 1;
          CHECK(std::set<void*>(weights, weights + copies).size() == copies);
          bool in_turn = true;
          for (size_t i = copies; i < static_cast<size_t>(calls); i++) in_turn &= weights[i] == weights[i - copies];
          CHECK(in_turn);
        }
    CHECK(recordings == 0);
  }
}
