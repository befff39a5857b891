#include "bench/kernel_rounds.h"

#include <algorithm>
#include <map>
#include <memory>

#include "compiler/clock.h"
#include "compiler/message.h"
#include "compiler/process.h"
#include "compiler/tune/kernel_runner.h"
#include "compiler/tune/machine_lock.h"
#include "compiler/tune/measure.h"
#include "compiler/tune/median.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

constexpr double seconds_each = 0.02;
constexpr size_t fewest_calls = 5;

struct Series {
  std::vector<double> medians;  // seconds, one a round
  double least = 0;

  void add(const std::vector<double>& seconds) {
    const double shortest = *std::min_element(seconds.begin(), seconds.end());
    least = medians.empty() ? shortest : std::min(least, shortest);
    medians.push_back(median(seconds));
  }
  Milliseconds milliseconds() const { return {median(medians) * 1e3, least * 1e3}; }
};

struct Timed {
  size_t index;
  std::unique_ptr<KernelRunner> runner;
  Series hot, cold;
};

// The first call does not count: what ran before it tells in its time.
std::vector<double> call_for_a_while(KernelRunner& runner, bool cold) {
  runner.time(cold);
  std::vector<double> seconds;
  const Clock::time_point start = Clock::now();
  while (seconds.size() < fewest_calls || seconds_since(start) < seconds_each) seconds.push_back(runner.time(cold));
  return seconds;
}

}  // namespace

std::vector<KernelTimes> time_in_rounds(const std::vector<std::pair<KernelKey, Choice>>& kernels,
                                        const RoundsOptions& options, program::MachineMeter& meter) {
  MeasureOptions compiling;
  compiling.folder = options.folder;
  compiling.cache = options.cache;
  compiling.target = options.target;
  compiling.threads = options.threads;
  compiling.jobs = runtime::default_thread_count();
  const std::vector<KernelObject> objects = compile_objects(kernels, compiling);

  const Machine machine = machine_for(options.target, options.threads);
  uint64_t scratch = 0;
  for (const KernelObject& object : objects) scratch = std::max(scratch, object.scratch_bytes);
  const KernelThreads threads(options.threads, scratch);
  std::vector<KernelTimes> times(kernels.size());
  std::map<std::string, KernelData> data;  // by key
  std::vector<Timed> timed;
  for (size_t i = 0; i < kernels.size(); i++) {
    check_interrupted();
    const auto& [key, choice] = kernels[i];
    times[i].failure = objects[i].failure;
    if (!times[i].failure.empty()) continue;
    KernelData& operands =
        data.try_emplace(to_string(key), key, options.batch, runtime::default_thread_count()).first->second;
    auto runner = std::make_unique<KernelRunner>(operands, choice, machine, objects[i].library, threads);
    times[i].failure = runner->check();
    if (times[i].failure.empty()) timed.push_back({i, std::move(runner), {}, {}});
  }

  const MachineLock timing(MachineLock::time);
  for (int round = 0; round < options.rounds; round++) {
    meter.read();
    for (size_t i = 0; i < timed.size(); i++) {
      check_interrupted();
      Timed& t =
          timed[(static_cast<size_t>(round) * timed.size() / static_cast<size_t>(options.rounds) + i) % timed.size()];
      t.hot.add(call_for_a_while(*t.runner, false));
      t.cold.add(call_for_a_while(*t.runner, true));
    }
  }
  meter.read();
  for (const Timed& t : timed) {
    times[t.index].hot = t.hot.milliseconds();
    times[t.index].cold = t.cold.milliseconds();
  }
  return times;
}

}  // namespace resnetc
