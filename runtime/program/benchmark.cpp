#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "clock.h"
#include "commands.h"
#include "model.h"
#include "print.h"
#include "results.h"
#include "samples.h"

namespace resnetc::program {

namespace {

// The kernel's high-water mark of this program. getrusage's may be that of the process that started it, so it is used
// only where there is no /proc.
std::uint64_t peak_rss_bytes() {
  unsigned long long kib = 0;
  if (std::FILE* status = std::fopen("/proc/self/status", "re")) {
    char line[256];
    while (std::fgets(line, sizeof line, status) != nullptr) {
      if (std::sscanf(line, "VmHWM: %llu kB", &kib) == 1) break;
    }
    std::fclose(status);
  }
  rusage usage{};
  if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0) kib = static_cast<unsigned long long>(usage.ru_maxrss);
  return kib * 1024;
}

// The median of the kernels alone on a device, for what goes through the net together; 0 on the CPU.
double kernels_median(const rn_description& net, Model& model, int batch, double seconds) {
  if (!model.on_device()) return 0;
  const int together = rn_images_at_once(&net, 0, batch);
  Samples times(1, 1 << 18);
  const Clock::time_point start = Clock::now();
  do {
    const double time = model.run_kernels(together);
    times.add(&time);
  } while (seconds_since(start) < seconds);
  return quantile(times.values({0}), 0.5);
}

}  // namespace

void benchmark(const rn_description& net, const Options& options) {
  const std::size_t batch = static_cast<std::size_t>(options.batch);
  Model model(net, options.threads, options.batch, options.device, options.fallback);
  std::vector<float> input(value_count(input_shape(net)) * batch), output(value_count(output_shape(net)) * batch);
  rn_self_test_input(net.self_test_seed, input.data(), input.size());

  const double warm_up = std::min(options.benchmark_seconds / 5, 1.0);
  const Clock::time_point warm_up_start = Clock::now();
  for (int run = 0; run < 2 || seconds_since(warm_up_start) < warm_up; run++) {
    model.run(input.data(), options.batch, output.data());
  }
  Samples times(1, 1 << 18);
  double total = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point run_start = Clock::now();
    model.run(input.data(), options.batch, output.data());
    const double seconds = seconds_since(run_start);
    total += seconds;
    times.add(&seconds);
  } while (seconds_since(start) < options.benchmark_seconds);

  const double kernels = kernels_median(net, model, options.batch, options.benchmark_seconds);
  const std::uint64_t rss = peak_rss_bytes();
  const std::vector<float> kept = times.values({0});
  const double least = quantile(kept, 0) * 1e3, median = quantile(kept, 0.5) * 1e3, p99 = quantile(kept, 0.99) * 1e3;
  const double rate = static_cast<double>(times.added() * batch) / total;
  if (options.json) {
    print(format("{\"model\": %s, \"target\": %s, \"threads\": %d, \"batch\": %d, \"runs\": %zu, ",
                 json_string(net.name).c_str(), json_string(net.target).c_str(), model.threads(), options.batch,
                 times.added()));
    print(format("\"latency_ms\": {\"min\": %.9g, \"median\": %.9g, \"p99\": %.9g}, ", least, median, p99));
    if (model.on_device()) print(format("\"kernels_ms\": %.9g, ", kernels * 1e3));
    print(
        format("\"images_per_second\": %.9g, \"peak_rss_bytes\": %llu}\n", rate, static_cast<unsigned long long>(rss)));
    return;
  }
  print(format("%s, %s\n", net.name, net.target));
  if (!model.on_device()) print(format("threads %d, ", model.threads()));
  print(format("batch %d, runs %zu\n", options.batch, times.added()));
  print(format("latency     min %.3f ms, median %.3f ms, p99 %.3f ms\n", least, median, p99));
  if (model.on_device()) print(format("kernels     median %.3f ms, without moving input and output\n", kernels * 1e3));
  print(format("throughput  %.2f images/s\n", rate));
  print(format("peak memory %.1f MiB\n", static_cast<double>(rss) / (1 << 20)));
}

}  // namespace resnetc::program
