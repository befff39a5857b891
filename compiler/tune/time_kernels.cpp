#include "compiler/tune/time_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "compiler/clock.h"
#include "compiler/files.h"
#include "compiler/tune/device_runner.h"
#include "compiler/tune/kernel_runner.h"
#include "compiler/tune/median.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

using Json = nlohmann::ordered_json;

struct Contender {
  size_t index;
  std::function<double()> time;  // seconds of one call; throws Error
  std::vector<double> seconds;
};

void answer(const Json& line) {
  fmt::print("{}\n", line.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

// A kernel that ran before does so no longer. What it left of the device is nothing to time others on.
struct KernelFailed {
  size_t object;
  std::string failure;
};

// Each round begins with another contender: what ran before it tells in a kernel's time. Throws KernelFailed.
void time_round(std::vector<Contender>& contenders, size_t round) {
  for (size_t i = 0; i < contenders.size(); i++) {
    Contender& c = contenders[(round + i) % contenders.size()];
    try {
      c.seconds.push_back(c.time());
    } catch (const Error& e) {
      throw KernelFailed{c.index, e.what()};
    }
  }
}

void print_time(const Contender& c) {
  answer({{"object", c.index}, {"milliseconds", median(c.seconds) * 1e3}});
}

// Of those after the first, the faster half stays.
void drop_slower_half(std::vector<Contender>& contenders) {
  std::sort(contenders.begin() + 1, contenders.end(),
            [](const Contender& a, const Contender& b) { return median(a.seconds) < median(b.seconds); });
  const size_t keep = 1 + contenders.size() / 2;
  for (size_t i = keep; i < contenders.size(); i++) print_time(contenders[i]);
  contenders.erase(contenders.begin() + static_cast<std::ptrdiff_t>(keep), contenders.end());
}

// In turns, dropping the slower half after each stage (successive halving). hopeless: what takes so many times as long
// as the fastest in the first round is dropped at once; that round only counts where it is no single call.
void time_in_turns(std::vector<Contender> contenders, double hopeless) {
  // The first round warms up: page tables, the branch predictors, the clock.
  time_round(contenders, 0);
  double fastest = contenders[0].seconds[0];
  for (const Contender& c : contenders) fastest = std::min(fastest, c.seconds[0]);
  for (size_t i = contenders.size(); i-- > 1;) {
    if (contenders[i].seconds[0] < hopeless * fastest) continue;
    print_time(contenders[i]);
    contenders.erase(contenders.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Contender& c : contenders) c.seconds.clear();
  size_t rounds = 3;
  while (contenders.size() > 3) {
    for (size_t i = 0; i < rounds; i++) time_round(contenders, i);
    drop_slower_half(contenders);
    rounds += 2;
  }
  // The last stage: at least 15 rounds, more for short kernels, up to 0.25 s.
  size_t last_rounds = 0;
  const Clock::time_point start = Clock::now();
  while (last_rounds < 15 || (last_rounds < 101 && seconds_since(start) < 0.25)) {
    time_round(contenders, last_rounds);
    last_rounds++;
  }
  const auto last_of = [&](const Contender& c) {
    return std::vector<double>(c.seconds.end() - static_cast<std::ptrdiff_t>(last_rounds), c.seconds.end());
  };
  for (const Contender& c : contenders) {
    print_time(c);
    const auto [ratio, noise] = median_ratio(last_of(c), last_of(contenders[0]));
    answer({{"object", c.index}, {"ratio", ratio}, {"noise", noise}});
  }
}

}  // namespace

std::string to_json(const TimingRequest& request) {
  Json objects = Json::array();
  for (const TimedObject& o : request.objects)
    objects.push_back({{"choice", to_string(o.choice)}, {"library", o.library}, {"scratch_bytes", o.scratch_bytes}});
  return Json{{"key", request.key},       {"target", request.target}, {"threads", request.threads},
              {"batch", request.batch},   {"cold", request.cold},     {"device_library", request.device_library},
              {"device", request.device}, {"objects", objects}}
      .dump();
}

TimingRequest parse_timing_request(const std::string& text) {
  const Json json = Json::parse(text);
  TimingRequest request{json.at("key"),  json.at("target"),         json.at("threads"), json.at("batch"),
                        json.at("cold"), json.at("device_library"), json.at("device"),  {}};
  for (const Json& o : json.at("objects"))
    request.objects.push_back(
        {parse_choice(o.at("choice").get<std::string>()), o.at("library"), o.at("scratch_bytes")});
  return request;
}

std::vector<TimingAnswer> parse_timing_answers(const std::string& output, size_t objects) {
  std::vector<TimingAnswer> answers(objects);
  size_t start = 0;
  for (size_t end = output.find('\n'); end != std::string::npos; start = end + 1, end = output.find('\n', start)) {
    const Json line = Json::parse(output.substr(start, end - start), nullptr, false);
    if (line.is_discarded() || !line.is_object() || line.value("object", objects) >= objects) continue;
    TimingAnswer& a = answers[line.at("object").get<size_t>()];
    a.started = true;
    a.failure = line.value("failure", a.failure);
    a.milliseconds = line.value("milliseconds", a.milliseconds);
    a.ratio = line.value("ratio", a.ratio);
    a.noise = line.value("noise", a.noise);
  }
  return answers;
}

namespace {

int time_on_cpu(const TimingRequest& request, const Machine& machine) {
  uint64_t scratch = 0;
  for (const TimedObject& o : request.objects) scratch = std::max(scratch, o.scratch_bytes);
  const KernelThreads threads(request.threads, scratch);
  KernelData data(parse_key(request.key), request.batch, request.threads);
  std::vector<Contender> contenders;
  for (size_t i = 0; i < request.objects.size(); i++) {
    answer({{"object", i}});  // a crash from here on is its
    const TimedObject& object = request.objects[i];
    const auto runner = std::make_shared<KernelRunner>(data, object.choice, machine, object.library, threads);
    if (const std::string failure = runner->check(); !failure.empty())
      answer({{"object", i}, {"failure", failure}});
    else
      contenders.push_back({i, [runner, &request] { return runner->time(request.cold); }, {}});
  }
  if (!contenders.empty()) time_in_turns(std::move(contenders), std::numeric_limits<double>::infinity());
  return 0;
}

int time_on_device(const TimingRequest& request, const Machine& machine) {
  KernelData data(parse_key(request.key), checked_images(request.batch), runtime::default_thread_count());
  // Halide's autoschedulers leave intermediate results to the host too, if only their place; it is not touched.
  const bool baselines = std::any_of(request.objects.begin(), request.objects.end(),
                                     [](const TimedObject& o) { return is_baseline(o.choice.strategy); });
  const size_t scratch = baselines ? size_t{2} << 30 : 0;
  DeviceData on_device(request.device_library, machine, request.device, scratch, data, request.batch);
  std::vector<Contender> contenders;
  for (size_t i = 0; i < request.objects.size(); i++) {
    answer({{"object", i}});
    const TimedObject& object = request.objects[i];
    const auto runner = std::make_shared<DeviceRunner>(on_device, object.choice, machine, object.library, request.cold);
    if (const std::string failure = runner->check(); !failure.empty()) {
      answer({{"object", i}, {"failure", failure}});
      if (!on_device.works()) return lost_device_status;
    } else {
      contenders.push_back({i, [runner] { return runner->time(); }, {}});
    }
  }
  try {
    if (!contenders.empty()) time_in_turns(std::move(contenders), 3);
  } catch (const KernelFailed& e) {
    answer({{"object", e.object}, {"failure", e.failure}});
    return lost_device_status;
  }
  return 0;
}

}  // namespace

int time_kernels(const std::filesystem::path& path) {
  const TimingRequest request = parse_timing_request(read_file(path));
  const Machine machine = machine_for(request.target, request.threads);
  return machine.device == Device::cpu ? time_on_cpu(request, machine) : time_on_device(request, machine);
}

}  // namespace resnetc
