#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "commands.h"
#include "model.h"
#include "output_file.h"
#include "print.h"
#include "profile_report.h"

namespace resnetc::program {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

void profile(const rn_description& net, const Options& options) {
  // Before all else, so that a name which cannot be written to is known at once.
  std::unique_ptr<OutputFile> page;
  if (!options.html.empty()) page = std::make_unique<OutputFile>(options.html);

  const std::size_t batch = static_cast<std::size_t>(options.batch);
  Model model(net, options.threads, options.batch, options.device, options.fallback);
  std::vector<float> input(value_count(input_shape(net)) * batch), output(value_count(output_shape(net)) * batch);
  rn_self_test_input(net.self_test_seed, input.data(), input.size());
  const auto timed_run = [&] {
    const Clock::time_point start = Clock::now();
    model.run(input.data(), options.batch, output.data());
    return seconds_since(start);
  };

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
  print(options.json ? profile_json(result) : profile_text(result));
  if (page != nullptr) {
    const std::string text = profile_html(result);
    page->write(text.data(), text.size());
    page->finish();
  }
}

}  // namespace resnetc::program
