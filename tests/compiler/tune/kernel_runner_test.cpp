// With kernels in C, which do what none of Halide's may: each test breaks one in another way.
#include "compiler/tune/kernel_runner.h"

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

// Of relu. A test says what its kernel does before and after that.
constexpr const char* source = R"(#include <math.h>
#include <stdint.h>
struct Dimension {{ int32_t min, extent, stride; uint32_t flags; }};
struct Buffer {{
  uint64_t device; void *interface; float *host; uint64_t flags; uint32_t type; int32_t dimensions;
  struct Dimension *dim; void *padding;
}};
static float *at(struct Buffer *b, int c, int x, int y, int n) {{
  const struct Dimension *d = b->dim;
  return b->host + (c - d[0].min) * d[0].stride + (x - d[1].min) * d[1].stride + (y - d[2].min) * d[2].stride +
         (n - d[3].min) * d[3].stride;
}}
int {symbol}_argv(void **arguments) {{
  static int calls = 0;
  calls++;
  {begins}
  struct Buffer *input = arguments[1], *result = arguments[2];
  const int channels = result->dim[0].extent, width = result->dim[1].extent, height = result->dim[2].extent,
            batch = result->dim[3].extent;
  for (int n = 0; n < batch; n++)
    for (int y = 0; y < height; y++)
      for (int x = 0; x < width; x++)
        for (int c = 0; c < channels; c++) *at(result, c, x, y, n) = fmaxf(*at(input, c, x, y, n), 0);
  {breaks}
  return 0;
}}
)";

const Machine& machine() {
  static const Machine of_tests = machine_for("x86-64-linux-avx2-fma", 1);
  return of_tests;
}

std::filesystem::path compiled(const test::TemporaryFolder& folder, const std::string& text) {
  write_file(folder / "kernel.c", text);
  run_command({{"cc", "-shared", "-fPIC", "-o", "kernel.so", "kernel.c"}, folder.path});
  return folder / "kernel.so";
}

KernelKey relu_with_border() {
  KernelKey key{Relu{}, {image_type(3, 5, 8)}, image_type(3, 5, 8)};
  key.operands[0].border = {1, 1, 1, 1};
  key.result.border = {1, 2, 1, 2};  // top, left, bottom, right
  return key;
}

struct Said {
  std::string check, time, check_again;
};

Said said_of(const std::string& breaks, const std::string& begins = "") {
  const test::TemporaryFolder folder;
  const KernelKey key = relu_with_border();
  const auto library =
      compiled(folder, fmt::format(fmt::runtime(source), fmt::arg("breaks", breaks), fmt::arg("begins", begins),
                                   fmt::arg("symbol", kernel_symbol(key, Device::cpu))));
  const KernelThreads threads(1, 0);
  KernelData data(key, 2, 1);
  KernelRunner runner(data, candidates(key, machine()).front(), machine(), library, threads);
  Said said{runner.check(), "", ""};
  try {
    const double seconds = runner.time(false);
    CHECK(seconds > 0);
  } catch (const Error& e) {
    said.time = e.what();
  }
  said.check_again = runner.check();
  return said;
}

}  // namespace

TEST_CASE("a kernel that is right passes, and one that writes to the border is refused") {
  CHECK(said_of("").check == "");
  const std::string refused = "wrong result: it writes to the border";
  const char* const places[] = {"-1, 0", "width, 0", "width + 1, height - 1", "0, -1", "0, height"};
  for (const std::string place : places)
    for (const char* image : {"0", "batch - 1"})
      CHECK_MESSAGE(said_of("*at(result, 0, " + place + ", " + image + ") = 1;").check == refused, place);
  // The very first and last float.
  CHECK(said_of("*at(result, 0, -2, -1, 0) = 1;").check == refused);
  CHECK(said_of("*at(result, channels - 1, width + 1, height, batch - 1) = 1;").check == refused);
  CHECK(said_of("*at(result, 0, -1, 0, 0) = NAN;").check == refused);
  // The next one is not blamed for it.
  const Said once = said_of("if (calls == 1) *at(result, 0, -1, 0, 0) = 1;");
  CHECK(once.check == refused);
  CHECK(once.check_again == "");
}

TEST_CASE("a kernel whose result is wrong, not written or no number is refused") {
  CHECK(said_of("*at(result, 7, 4, 2, batch - 1) += 0.01f;").check.starts_with("wrong result: off by "));
  CHECK(said_of("*at(result, 7, 4, 2, batch - 1) += 1e-6f;").check == "");
  CHECK(said_of("*at(result, 0, 0, 0, 0) = INFINITY;").check == "wrong result: not all values are written or finite");
  CHECK(said_of("*at(result, 3, 1, 1, 1) = NAN;").check == "wrong result: not all values are written or finite");
  // What an earlier call has left is no result.
  const Said said = said_of("", "if (calls == 3) return 0;");
  CHECK(said.check == "");
  CHECK(said.check_again == "wrong result: not all values are written or finite");
}

TEST_CASE("a status that is an error is refused, also of a call that is timed") {
  const Said always = said_of("return 7;"), once = said_of("if (calls == 2) return -3;");
  CHECK(always.check == "status 7");
  CHECK(always.time == "status 7");
  CHECK(once.check == "");
  CHECK(once.time == "status -3");
  CHECK(once.check_again == "");
}

TEST_CASE("times are no ratios to a kernel that fails its second check: the others are to be timed again") {
  const test::TemporaryFolder folder;
  const KernelKey key = relu_with_border();
  const auto library = [&](const std::string& name, const std::string& breaks) {
    const auto compiled_now =
        compiled(folder, fmt::format(fmt::runtime(source), fmt::arg("breaks", breaks), fmt::arg("begins", ""),
                                     fmt::arg("symbol", kernel_symbol(key, Device::cpu))));
    const std::string named = folder / name;
    std::filesystem::rename(compiled_now, named);
    return named;
  };
  const std::string breaks = "if (calls > 1) *at(result, 0, 0, 0, 0) += 1;";
  const TimedObject right{candidates(key, machine()).front(), library("right.so", ""), 0},
      wrong{right.choice, library("wrong.so", breaks), 0}, never{right.choice, library("never.so", "return 1;"), 0};
  const auto status_of = [&](const std::vector<TimedObject>& objects) {
    TimingRequest request{to_string(key), machine().target.to_string(), 1, 2, false, "", 0, objects};
    write_file(folder / "request.json", to_json(request));
    return time_kernels(folder / "request.json");
  };
  CHECK(status_of({right, wrong}) == 0);
  CHECK(status_of({wrong, right}) == lost_device_status);
  CHECK(status_of({never, wrong, right}) == lost_device_status);
}

TEST_CASE("before a call with cold weights all lines of all packed weights are thrown out, else none") {
  const test::TemporaryFolder folder;
  // 5 outputs: vectors of the bias end in the midst of a line.
  const KernelKey key = parse_key("conv2d_i6x6x8b1_w5x3x3x8_w5_to_i6x6x5_padding1_relu_f32");
  const auto library = compiled(folder, fmt::format("int {}_argv(void **arguments) {{ (void)arguments; return 0; }}\n",
                                                    kernel_symbol(key, Device::cpu)));
  const KernelThreads threads(1, 0);
  KernelData data(key, 1, 1);
  const Choice choice = candidates(key, machine()).front();
  KernelRunner runner(data, choice, machine(), library, threads);
  size_t bytes = 0;
  for (const size_t operand : {1, 2}) {
    const PackedWeight packed =
        strategy_named(choice.strategy).pack(key, choice, machine(), operand, data.weights[operand]);
    REQUIRE(!packed.values.empty());
    bytes += (packed.values.size() * sizeof(float) + 63) / 64 * 64;
  }
  runner.time(false);
  CHECK(runner.flushed_bytes() == 0);
  runner.time(true);
  CHECK(runner.flushed_bytes() == bytes);
  runner.time(true);
  CHECK(runner.flushed_bytes() == 2 * bytes);
}
