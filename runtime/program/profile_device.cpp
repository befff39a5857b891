// On a device, where a clock between two kernels would have it wait for the host: each step is launched over and over
// by itself.
#include <algorithm>
#include <optional>
#include <vector>

#include "clock.h"
#include "profile.h"

namespace resnetc::program {

Profile profile_device(const rn_description& net, Model& model, const Options& options) {
  const std::size_t batch = static_cast<std::size_t>(options.batch);
  std::vector<float> input(value_count(input_shape(net)) * batch), output(value_count(output_shape(net)) * batch);
  rn_self_test_input(net.self_test_seed, input.data(), input.size());
  // A larger batch goes through the net in parts: they take as much longer.
  const int at_once = rn_images_at_once(&net, 0, options.batch);
  const double parts = static_cast<double>(options.batch) / at_once;

  std::vector<double> seconds(2 * std::size_t{net.step_count});  // no border is zeroed after a handle is made
  Samples steps(seconds.size(), std::clamp<std::size_t>((std::size_t{4} << 20) / seconds.size(), 64, 4096));
  Samples whole(1, 1 << 18), together(1, 1 << 18);
  const auto run_whole = [&] {
    for (int i = 0; i < 3; i++) {
      const Clock::time_point start = Clock::now();
      model.run(input.data(), options.batch, output.data());
      const double whole_seconds = seconds_since(start), kernel_seconds = model.run_kernels(at_once) * parts;
      whole.add(&whole_seconds);
      together.add(&kernel_seconds);
    }
  };
  // Each alone first, so that one that fails is named.
  for (std::uint32_t s = 0; s < net.step_count; s++) model.time_step(s, at_once);
  model.run(input.data(), options.batch, output.data());
  std::optional<MachinePeak> peak;
  // The peak is read between the rounds, as what else uses the device may disturb any of them.
  constexpr int rounds = 5;
  for (int round = 0; round < rounds; round++) {
    const MachinePeak reading = machine_peak_of(model.device_peak());
    peak = peak ? program::together(*peak, reading) : reading;
    const Clock::time_point start = Clock::now();
    do {
      run_whole();
      for (std::uint32_t s = 0; s < net.step_count; s++) seconds[s] = model.time_step(s, at_once) * parts;
      steps.add(seconds.data());
    } while (seconds_since(start) < options.profile_seconds / rounds);
  }
  Profile result = profile_of(net, model.threads(), options.batch, steps, whole, *peak);
  result.together_seconds = quantile(together.values({0}), 0.5);
  return result;
}

}  // namespace resnetc::program
