#include "runtime/runtime.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device.h"

extern "C" void halide_error(void* user_context, const char* text);

namespace {

using Clock = std::chrono::steady_clock;

template <int milliseconds>
int wait(void**) {
  const Clock::time_point start = Clock::now();
  while (Clock::now() - start < std::chrono::milliseconds(milliseconds)) {
  }
  return 0;
}

template <bool says_why>
int fail(void** arguments) {
  if (says_why) halide_error(*static_cast<void**>(arguments[0]), "why");
  return -1;
}

const rn_tensor tensor = {0, 64, 64, 4, 1, 1, 1, 1, 0, 1};
const rn_step steps[] = {{wait<2>, 0, 2, {{rn_operand_input, 0}, {rn_operand_tensor, 0}}},
                         {wait<10>, 0, 2, {{rn_operand_tensor, 0}, {rn_operand_output, 0}}}};

rn_description two_steps() {
  static const char* const key = "key";
  rn_description net{};
  net.name = net.target = "net";
  net.channels = net.height = net.width = net.output_channels = net.output_height = net.output_width = net.has_head = 1;
  net.tensors = &tensor;
  net.tensor_count = 1;
  net.steps = steps;
  net.step_count = 2;
  net.kernel_keys = &key;
  net.kernel_count = 1;
  net.head = {66 * 66 * 4 * 4, 1 << 20};
  net.tail_step = net.step_count;
  return net;
}

int is_not_there(void** net, const rn_description*, int, int, char* message, size_t bytes) {
  *net = nullptr;
  snprintf(message, bytes, "no driver");
  return rn_error_device;
}

const rn_kernel fallback_kernels[] = {wait<0>};
constexpr uint32_t none_has = 1u << 31;  // no feature of any CPU

}  // namespace

TEST_CASE("runtime: what kernels of the CPU need in a device's place counts only where they are to run") {
  rn_device device{};
  device.create = is_not_there;
  rn_description net = two_steps();
  net.device = &device;
  net.fallback_kernels = fallback_kernels;
  net.fallback_cpu_features = none_has;
  rn_options options = {1, 1, nullptr, 0, 0, 0};
  const auto created = [&] {
    rn_model* model = nullptr;
    const int status = rn_create(&model, &net, &options);
    const std::string message = rn_message(model);
    rn_destroy(model);
    return std::pair(status, message);
  };
  CHECK(created() == std::pair<int, std::string>(rn_error_device, "no driver"));
  options.fallback = 1;
  CHECK(created().first == rn_error_cpu);
  CHECK(created().second.starts_with("no driver; and this CPU lacks "));
  CHECK(created().second.ends_with(": net was compiled for net; compile it for this machine or with a lower --target"));
  net.fallback_cpu_features = 0;
  CHECK(created() == std::pair<int, std::string>(rn_ok, "no driver"));
}

TEST_CASE("runtime: rn_profile adds up the time of each step while it is on") {
  const rn_description net = two_steps();
  rn_model* model = nullptr;
  const rn_options options = {1, 1, nullptr, 0, 0, 0};
  REQUIRE(rn_create(&model, &net, &options) == rn_ok);
  float values[3] = {};
  std::vector<double> seconds(4, 0);
  REQUIRE(rn_run(model, values, 1, values) == rn_ok);
  rn_profile(model, seconds.data());
  const Clock::time_point start = Clock::now();
  REQUIRE(rn_run(model, values, 3, values) == rn_ok);  // in three chunks
  const double total = std::chrono::duration<double>(Clock::now() - start).count();
  CHECK(seconds[0] >= 3 * 2e-3);
  CHECK(seconds[1] >= 3 * 10e-3);
  CHECK(seconds[2] > 0);   // zeroing a border
  CHECK(seconds[3] == 0);  // the caller's output has none
  CHECK(seconds[0] + seconds[1] + seconds[2] <= total);
  CHECK(seconds[2] < seconds[1]);

  const std::vector<double> before = seconds;
  rn_profile(model, nullptr);
  REQUIRE(rn_run(model, values, 1, values) == rn_ok);
  CHECK(seconds == before);
  rn_destroy(model);
}

TEST_CASE("runtime: more images at once than kernels can count the floats of are refused") {
  const rn_description net = two_steps();
  rn_model* model = nullptr;
  const rn_options options = {1, 1 << 18, nullptr, 0, 0, 0};
  CHECK(rn_create(&model, &net, &options) == rn_error_argument);
  CHECK(std::string(rn_message(model)) == "max_batch 262144 is too large: 123248 is the most");
  rn_destroy(model);
}

TEST_CASE("runtime: a run does not give the reason of an earlier one's failure") {
  rn_description net = two_steps();
  rn_step failing[] = {steps[0], steps[1]};
  net.steps = failing;
  rn_model* model = nullptr;
  const rn_options options = {1, 1, nullptr, 0, 0, 0};
  REQUIRE(rn_create(&model, &net, &options) == rn_ok);
  float value = 0;
  failing[1].kernel = fail<true>;
  CHECK(rn_run(model, &value, 1, &value) == rn_error_kernel);
  CHECK(std::string(rn_message(model)) == "kernel key failed with status -1: a kernel reported an error");
  failing[1].kernel = fail<false>;
  CHECK(rn_run(model, &value, 1, &value) == rn_error_kernel);
  CHECK(std::string(rn_message(model)) == "kernel key failed with status -1: no reason given");
  rn_destroy(model);
}
