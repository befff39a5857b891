#include "schedules/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/graph.h"

namespace resnetc {
namespace {

using Halide::Target;

// Strongest first; a level implies all that stand below it. The bits are those of runtime/description.h.
struct Level {
  Target::Feature feature;
  uint32_t bit;
};
constexpr Level levels[] = {
    {Target::AVX512_Zen5, 1u << 9},
    {Target::AVX512_Zen4, 1u << 8},
    {Target::AVX512_Cannonlake, 1u << 7},
    {Target::AVX512_Skylake, 1u << 6},
    {Target::AVX512, 1u << 5},
    {Target::AVX2, 1u << 4},
    {Target::FMA, 1u << 3},
    {Target::F16C, 1u << 2},
    {Target::AVX, 1u << 1},
    {Target::SSE41, 1u << 0},
};

// FMA and F16C do not imply AVX2, and AVX2 implies AVX only; from AVX-512 up everything below is there.
Target with_implied_features(Target target) {
  bool all_below = false;
  for (const Level& level : levels) {
    if (target.has_feature(level.feature) && level.bit >= 1u << 5) all_below = true;
    if (all_below) target.set_feature(level.feature);
  }
  if (target.has_feature(Target::AVX2) || target.has_feature(Target::FMA) || target.has_feature(Target::F16C))
    target.set_feature(Target::AVX);
  if (target.has_feature(Target::AVX)) target.set_feature(Target::SSE41);
  return target;
}

// The least capability that Halide knows and that today's drivers take.
constexpr Target::Feature least_cuda_capability = Target::CUDACapability50;

constexpr Target::Feature cuda_capabilities[] = {least_cuda_capability,    Target::CUDACapability61,
                                                 Target::CUDACapability70, Target::CUDACapability75,
                                                 Target::CUDACapability80, Target::CUDACapability86};

// Halide knows no later one, and does not validate names that it does not know.
void require_known_capability(const std::string& text) {
  constexpr std::string_view prefix = "cuda_capability_";
  const size_t at = text.find(prefix);
  if (at == std::string::npos) return;
  const std::string name = text.substr(at, text.find('-', at) - at);
  std::vector<std::string> known;
  for (Target::Feature f : cuda_capabilities) {
    if (Target::feature_to_name(f) == name) return;
    known.push_back(Target::feature_to_name(f).substr(prefix.size()));
  }
  const std::string highest = known.back();
  known.pop_back();
  throw Error(fmt::format(
      "--target {}: there is no {}; the highest capability is {}, which later GPUs run too, and there are {}", text,
      name, highest, fmt::join(known, ", ")));
}

void add_device(const Target& requested, const std::string& text, Machine& machine) {
  const bool cuda = requested.has_feature(Target::CUDA), opencl = requested.has_feature(Target::OpenCL);
  const bool capability = std::any_of(std::begin(cuda_capabilities), std::end(cuda_capabilities),
                                      [&](Target::Feature f) { return requested.has_feature(f); });
  if (cuda && opencl) throw Error(fmt::format("--target {}: opencl and cuda exclude each other", text));
  if (capability && !cuda) throw Error(fmt::format("--target {}: a cuda_capability goes with cuda", text));
  if (opencl || cuda) machine.target = Target(Target::Linux, Target::X86, 64, {Target::SSE41});
  if (opencl) {
    machine.device = Device::opencl;
    machine.target.set_feature(Target::OpenCL);
  } else if (cuda) {
    machine.device = Device::cuda;
    machine.target.set_feature(Target::CUDA);
    if (!capability) machine.target.set_feature(least_cuda_capability);
    for (Target::Feature f : cuda_capabilities)
      if (requested.has_feature(f)) machine.target.set_feature(f);
  }
  machine = with_limits(machine, {});
}

}  // namespace

Machine with_limits(Machine machine, const DeviceLimits& limits) {
  machine.limits = limits;
  if (machine.device == Device::cpu) return machine;
  const bool cuda = machine.device == Device::cuda;
  // Of CUDA never more: a thread with 8 x 8 sums needs more registers than the 1024 threads may have that each can do.
  constexpr int kind_threads = 256, most_threads = 1024, cuda_threads_of_few_sums = 512;
  const int own = limits.gpu_threads;
  machine.device_threads = own == 0 ? kind_threads : std::min(own, cuda ? kind_threads : most_threads);
  machine.device_threads_of_few_sums = !cuda      ? machine.device_threads
                                       : own == 0 ? cuda_threads_of_few_sums
                                                  : std::min(own, cuda_threads_of_few_sums);
  machine.device_shared_bytes = limits.gpu_shared_bytes > 0 ? limits.gpu_shared_bytes : (cuda ? 48 : 32) * 1024;
  return machine;
}

std::string strongest_feature(const Target& target) {
  for (const Level& level : levels)
    if (target.has_feature(level.feature)) return Target::feature_to_name(level.feature);
  return "x86";
}

uint32_t cpu_feature_bits(const Target& target) {
  uint32_t bits = 0;
  for (const Level& level : levels)
    if (target.has_feature(level.feature)) bits |= level.bit;
  return bits;
}

std::string winograd_name(int largest) {
  return largest == 0 ? "off" : fmt::format("f{}", largest);
}

int parse_winograd(std::string_view name) {
  for (int largest : {0, 2, 4, 5, 6})
    if (name == winograd_name(largest)) return largest;
  throw Error(fmt::format("winograd must be off, f2, f4, f5 or f6, got '{}'", name));
}

Target full_target(const Machine& machine) {
  Target target = machine.target;
  for (const Level& level : levels)
    if (machine.cpu.has_feature(level.feature)) target.set_feature(level.feature);
  return target;
}

Machine host_of(const Machine& machine) {
  return machine_for(machine.cpu.to_string(), machine.threads);
}

Machine machine_for(const std::string& text, int threads) {
  const bool host = text == "host" || text.starts_with("host-");
  const Target own = host ? Halide::get_host_target() : Target();
  // Given "host-" itself, Halide would look for a device of this machine.
  const std::string spelled_out = host ? own.to_string() + text.substr(4) : text;
  require_known_capability(text);
  if (!Target::validate_target_string(spelled_out))
    throw Error(
        fmt::format("--target {}: not a Halide target; `resnetc targets` lists what this build can compile for", text));
  const Target requested(spelled_out);
  if (requested.arch != Target::X86 || requested.bits != 64 || requested.os != Target::Linux)
    throw Error(fmt::format("--target {}: only x86-64-linux targets can be compiled for", text));

  Machine machine;
  machine.target = Target(Target::Linux, Target::X86, 64);
  Target known = with_implied_features(requested);
  for (const Level& level : levels)
    if (known.has_feature(level.feature)) machine.target.set_feature(level.feature);
  machine.cpu = machine.target;
  add_device(requested, text, machine);
  for (int i = 0; i < Target::FeatureEnd; i++) {
    const auto feature = static_cast<Target::Feature>(i);
    if (requested.has_feature(feature) && !full_target(machine).has_feature(feature) && !own.has_feature(feature))
      throw Error(fmt::format("--target {}: feature {} is not supported", text, Target::feature_to_name(feature)));
  }
  if (!machine.cpu.has_feature(Target::SSE41))
    throw Error(
        fmt::format("--target {}: x86-64 with SSE4.1 is the least that is supported; try x86-64-linux-sse41", text));

  const bool avx512 = machine.target.has_feature(Target::AVX512);
  const bool avx = machine.target.has_feature(Target::AVX);
  machine.lanes = avx512 ? 16 : avx ? 8 : 4;
  machine.registers = avx512 ? 32 : 16;
  machine.fused_multiply_add = machine.target.has_feature(Target::FMA);
  machine.level2_bytes = avx512 ? 1024 * 1024 : 512 * 1024;
  machine.threads = threads;
  return machine;
}

}  // namespace resnetc
