#include "runtime/program/profile_figures.h"

#include <doctest/doctest.h>

#include <cstring>

#include "profile_net.h"

namespace {

using namespace resnetc::program;
using doctest::Approx;
using resnetc::test::profile_net;
using resnetc::test::profile_of_net;

const MachinePeak machine = {"", "", 100e9, 10e9, 1e-6};

}  // namespace

TEST_CASE("profile_figures: the work of a step") {
  const rn_description net = profile_net();
  const Work input = work_of(net, 0, 2), conv = work_of(net, 1, 2), dense = work_of(net, 3, 2);
  CHECK(input.flop == 0);
  CHECK(input.weight_bytes == 0);
  CHECK(input.activation_bytes == 2 * (128 + 128));
  CHECK(conv.flop == 2 * 1152);
  CHECK(conv.executed_flop == 2 * 576);
  CHECK(conv.weight_bytes == 576 + 32);
  CHECK(conv.activation_bytes == 2 * (128 + 128));
  CHECK(conv.bytes() == 608 + 512);
  CHECK(dense.flop == 160);
  CHECK(dense.weight_bytes == 256);
  CHECK(dense.activation_bytes == 2 * (128 + 20));
}

TEST_CASE("profile_figures: what bounds a step") {
  const auto bound = [](double us, double flop, double bytes, bool in_caches = false) {
    return std::string(bound_by(us * 1e-6, {1e12, flop, bytes, 0}, machine, in_caches));
  };
  // The roofs of these are 100 us and 10 us.
  CHECK(bound(100, 10e6, 100e3) == "compute");
  CHECK(bound(240, 10e6, 100e3) == "compute");
  CHECK(bound(260, 10e6, 100e3) == "neither");
  // 10 us of arithmetic, 100 us of memory.
  CHECK(bound(110, 1e6, 1e6) == "memory");
  CHECK(bound(96, 1e6, 1e6) == "memory");
  CHECK(bound(90, 1e6, 1e6) == "caches");
  CHECK(bound(12, 1e6, 1e6) == "compute");
  CHECK(bound(110, 0, 1e6) == "memory");
  // A hand-over takes 1 us.
  CHECK(bound(1.5, 10e3, 0) == "hand-over");
  CHECK(bound(1.5, 100e3, 0) == "compute");
  CHECK(bound(2.3, 10e3, 0) == "neither");
  // Where nothing comes from memory, its roof is none.
  CHECK(bound(20, 1e6, 1e6, true) == "compute");
  CHECK(bound(110, 5e6, 1e6, true) == "compute");
  CHECK(bound(110, 1e6, 1e6, true) == "caches");
  CHECK(bound(1000, 1e6, 1e6, true) == "neither");
  CHECK(bound(1.5, 10e3, 1e3, true) == "hand-over");
}

TEST_CASE("profile_figures: a net stays in the caches if its weights and activations fit together") {
  rn_description net = profile_net();
  CHECK(is_in_caches(net, 2, 896 + 2 * 576));
  CHECK(!is_in_caches(net, 2, 896 + 2 * 576 - 1));
  net.head.images_at_once = 1;
  CHECK(is_in_caches(net, 2, 896 + 576));
  CHECK(!is_in_caches(net, 2, 0));
}

TEST_CASE("profile_figures: steps, kernels and their sums") {
  const rn_description net = profile_net();
  const Profile p = profile_of_net(net);
  CHECK(p.seconds == Approx(98e-6));
  CHECK(p.runs == 3);
  CHECK(p.kernel_seconds == Approx(95e-6));
  CHECK(p.border_seconds == Approx(5e-6));
  CHECK(p.sum() == Approx(100e-6));
  CHECK(p.work().flop == 2 * 1152 * 2 + 160);
  CHECK(p.work().executed_flop == 2 * 576 * 2 + 160);

  REQUIRE(p.kernels.size() == 3);
  REQUIRE(p.steps.size() == 4);
  CHECK(p.kernels[0].kind == "conv 3x3");
  CHECK(p.kernels[1].kind == "dense");
  CHECK(p.kernels[2].kind == "input");
  CHECK(p.steps[0].kernel == 2);
  CHECK(p.steps[1].kernel == 0);
  CHECK(p.steps[2].kernel == 0);
  CHECK(p.steps[3].kernel == 1);
  CHECK(p.steps[0].border_seconds == Approx(5e-6));
  CHECK(p.steps[1].figures.seconds == Approx(40e-6));

  const Figures& conv = p.kernels[0].figures;
  CHECK(conv.calls == 2);
  CHECK(conv.seconds == Approx(90e-6));
  CHECK(conv.median_seconds == Approx(50e-6));  // of 30, 40, 40, 50, 51, 90
  CHECK(conv.share == Approx(0.9));
  CHECK(conv.flops() == Approx(2 * 1152 / 90e-6));
  CHECK(conv.effective_flops() == Approx(2 * 2304 / 90e-6));
  CHECK(conv.of_peak == Approx(2 * 1152 / 90e-6 / 1e9));
  CHECK(conv.of_bandwidth == Approx(2 * 1120 / 90e-6 / 100e6));
  CHECK(conv.intensity() == Approx(1152.0 / 1120));
  double share = p.border_seconds / p.sum(), kernel_share = share;
  for (const StepProfile& step : p.steps) share += step.figures.share;
  for (const KernelProfile& kernel : p.kernels) kernel_share += kernel.figures.share;
  CHECK(share == Approx(1));
  CHECK(kernel_share == Approx(1));
}

TEST_CASE("profile_figures: a device's cache holds what a step launched over and over reads, or not") {
  const rn_description net = profile_net();
  rn_device_peak device{"", 1 << 20, 100e6, 10e6};
  for (const auto& [cache, bound] : {std::pair{1 << 20, "caches"}, {1 << 10, "memory"}}) {
    device.cache_bytes = static_cast<std::uint64_t>(cache);
    device.flops = 1e9;
    device.bytes = 36e6;
    const Profile p = profile_of_net(net, machine_peak_of(device));
    CHECK(p.kernels[0].figures.calls == 2);
    CHECK(std::string(p.kernels[0].figures.bound) == bound);
  }
}

TEST_CASE("profile_figures: the time line is one of the runs") {
  const rn_description net = profile_net();
  const Profile p = profile_of_net(net);
  const double us[] = {5, 6, 6, 46, 46, 96, 96, 100};
  REQUIRE(p.time_line.size() == 8);
  for (std::size_t i = 0; i < 8; i++) CHECK(p.time_line[i] == Approx(us[i] * 1e-6));
  CHECK(p.clocked_seconds == Approx(100e-6));
}

TEST_CASE("profile_figures: tensors live from the step that writes them to the last that reads them") {
  const rn_description net = profile_net();
  const Profile p = profile_of_net(net);
  REQUIRE(p.tensors.size() == 3);
  CHECK(p.tensors[0].written_by == 0);
  CHECK(p.tensors[0].last_read_by == 2);
  CHECK(p.tensors[0].bytes == 2 * 288);
  CHECK(p.tensors[1].written_by == 1);
  CHECK(p.tensors[1].last_read_by == 1);
  CHECK(p.tensors[1].offset == 640);
  CHECK(p.tensors[2].last_read_by == 3);
}
