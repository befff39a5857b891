// On the CPU: the runtime's own clocks between the steps of a run.
#include <algorithm>
#include <vector>

#include "clock.h"
#include "profile.h"

namespace resnetc::program {

Profile profile_cpu(const rn_description& net, Model& model, const Options& options) {
  const std::size_t batch = static_cast<std::size_t>(options.batch);
  std::vector<float> input(value_count(input_shape(net)) * batch), output(value_count(output_shape(net)) * batch);
  rn_self_test_input(net.self_test_seed, input.data(), input.size());
  const auto timed_run = [&] {
    const Clock::time_point start = Clock::now();
    model.run(input.data(), options.batch, output.data());
    return seconds_since(start);
  };

  // Else a step would have a time for each thread, and with clocks another one than without.
  model.share_images(true);

  MachineMeter meter(model.threads());
  meter.read();
  const double warm_up = std::min(options.profile_seconds / 5, 1.0);
  const Clock::time_point warm_up_start = Clock::now();
  for (int run = 0; run < 2 || seconds_since(warm_up_start) < warm_up; run++) timed_run();

  // Runs with and without clocks take turns, so that both see the same machine.
  std::vector<double> seconds(2 * std::size_t{net.step_count});
  Samples steps(seconds.size(), std::clamp<std::size_t>((std::size_t{4} << 20) / seconds.size(), 64, 4096));
  Samples whole(1, 1 << 18);
  const auto both_runs = [&] {
    const double time = timed_run();
    whole.add(&time);
    std::fill(seconds.begin(), seconds.end(), 0);
    model.time_steps(seconds.data());
    timed_run();
    model.time_steps(nullptr);
    steps.add(seconds.data());
  };
  // Readings of the machine lie between, for another program may disturb any of them. They leave caches without what a
  // run finds there: the run after each does not count.
  constexpr int parts = 5;
  for (int part = 0; part < parts; part++) {
    timed_run();
    const Clock::time_point start = Clock::now();
    do both_runs();
    while (seconds_since(start) < options.profile_seconds / parts);
    meter.read();
  }

  const std::uint32_t loops_before = model.parallel_loops();
  timed_run();
  Profile result = profile_of(net, model.threads(), options.batch, steps, whole, meter.peak());
  result.parallel_loops = model.parallel_loops() - loops_before;
  model.share_images(false);
  return result;
}

}  // namespace resnetc::program
