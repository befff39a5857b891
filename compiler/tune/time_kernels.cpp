#include "compiler/tune/time_kernels.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "compiler/clock.h"
#include "compiler/files.h"
#include "compiler/tune/device_runner.h"
#include "compiler/tune/kernel_runner.h"
#include "compiler/tune/turns.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void answer(const Json& line) {
  fmt::print("{}\n", line.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

void print_turns(const Turns& t) {
  answer({{"object", t.index}, {"milliseconds", t.seconds * 1e3}});
  if (t.ratio > 0) answer({{"object", t.index}, {"ratio", t.ratio}, {"noise", t.noise}});
}

// Says in a file which object runs, without a call of the system between two that are timed.
class RunningObject {
 public:
  explicit RunningObject(const fs::path& file) {
    write_file(file, std::string(sizeof(int), '\xff'));
    const int descriptor = open(file.c_str(), O_RDWR | O_CLOEXEC);
    void* mapped = mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped == MAP_FAILED) throw Error(fmt::format("{}: cannot map: {}", file.string(), strerror(errno)));
    number_ = static_cast<volatile int*>(mapped);
  }
  void is(size_t object) { *number_ = static_cast<int>(object); }
  // For the whole process: a call may end it.
  std::function<double()> timed(size_t object, std::function<double()> time) {
    return [this, object, time = std::move(time)] {
      is(object);
      return time();
    };
  }

 private:
  volatile int* number_;
};

// Of what is left of the process's time when the reference is known, a fifth is for checks, but for those of the first
// two, and a fifth for the stages of timing: so kernels whose calls take seconds are timed too, if fewer at once.
struct Deadlines {
  Clock::time_point start = Clock::now();
  double fifth_s;

  Deadlines(const TimingRequest& request, Clock::time_point began)
      : fifth_s((request.limit_s - seconds_since(began)) / 5) {}
  bool stop_checking(size_t contenders) const { return contenders >= 2 && seconds_since(start) > fifth_s; }
  TurnsOptions turns(double hopeless) const {
    return {hopeless, [start = start] { return seconds_since(start); }, seconds_since(start) + fifth_s};
  }
};

}  // namespace

std::string to_json(const TimingRequest& request) {
  Json objects = Json::array();
  for (const TimedObject& o : request.objects)
    objects.push_back({{"choice", to_string(o.choice)}, {"library", o.library}, {"scratch_bytes", o.scratch_bytes}});
  return Json{{"key", request.key},       {"target", request.target}, {"threads", request.threads},
              {"batch", request.batch},   {"cold", request.cold},     {"device_library", request.device_library},
              {"device", request.device}, {"objects", objects},       {"limit_s", request.limit_s}}
      .dump();
}

TimingRequest parse_timing_request(const std::string& text) {
  const Json json = Json::parse(text);
  TimingRequest request{json.at("key"),    json.at("target"),         json.at("threads"), json.at("batch"),
                        json.at("cold"),   json.at("device_library"), json.at("device"),  {},
                        json.at("limit_s")};
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
    a.failure = line.value("failure", a.failure);
    a.milliseconds = line.value("milliseconds", a.milliseconds);
    a.ratio = line.value("ratio", a.ratio);
    a.noise = line.value("noise", a.noise);
  }
  return answers;
}

fs::path running_object_file(const fs::path& request) {
  fs::path file = request;
  return file.replace_extension(".running");
}

size_t running_object(const fs::path& request, size_t objects) {
  std::ifstream in(running_object_file(request), std::ios::binary);
  int number = -1;
  in.read(reinterpret_cast<char*>(&number), sizeof number);
  return in && number >= 0 && static_cast<size_t>(number) < objects ? static_cast<size_t>(number) : objects;
}

namespace {

// What was right once may be wrong another time, as where threads race. Returns the exit status: ratios are worth
// nothing where they are to one that fails, or after the device is lost.
int check_again(const std::vector<size_t>& finalists, size_t reference, RunningObject& running,
                const std::function<std::string(size_t)>& check, const std::function<bool()>& device_works) {
  int status = 0;
  for (const size_t i : finalists) {
    running.is(i);
    const std::string failure = check(i);
    if (failure.empty()) continue;
    answer({{"object", i}, {"failure", failure}});
    if (!device_works()) return lost_device_status;
    if (i == reference) status = lost_device_status;
  }
  return status;
}

int time_all(std::vector<Contender> contenders, const TurnsOptions& options, RunningObject& running,
             const std::function<std::string(size_t)>& check, const std::function<bool()>& device_works) {
  if (contenders.empty()) return 0;
  const size_t reference = contenders.front().index;  // what all ratios are to
  std::vector<size_t> finalists;
  try {
    time_in_turns(std::move(contenders), options, [&](const Turns& t) {
      print_turns(t);
      if (t.ratio > 0) finalists.push_back(t.index);
    });
  } catch (const KernelFailed& e) {
    answer({{"object", e.object}, {"failure", e.failure}});
    return lost_device_status;
  }
  return check_again(finalists, reference, running, check, device_works);
}

int time_on_cpu(const TimingRequest& request, const Machine& machine, RunningObject& running, Clock::time_point began) {
  uint64_t scratch = 0;
  for (const TimedObject& o : request.objects) scratch = std::max(scratch, o.scratch_bytes);
  const KernelThreads threads(request.threads, scratch);
  KernelData data(parse_key(request.key), request.batch, request.threads);
  const Deadlines deadlines(request, began);
  std::vector<Contender> contenders;
  std::map<size_t, std::shared_ptr<KernelRunner>> runners;
  for (size_t i = 0; i < request.objects.size() && !deadlines.stop_checking(contenders.size()); i++) {
    running.is(i);
    const TimedObject& object = request.objects[i];
    const auto runner = runners[i] =
        std::make_shared<KernelRunner>(data, object.choice, machine, object.library, threads);
    if (const std::string failure = runner->check(); !failure.empty())
      answer({{"object", i}, {"failure", failure}});
    else
      contenders.push_back({i, running.timed(i, [runner, &request] { return runner->time(request.cold); })});
  }
  const auto check = [&](size_t i) { return runners.at(i)->check(); };
  return time_all(std::move(contenders), deadlines.turns(std::numeric_limits<double>::infinity()), running, check,
                  [] { return true; });
}

int time_on_device(const TimingRequest& request, const Machine& machine, RunningObject& running,
                   Clock::time_point began) {
  KernelData data(parse_key(request.key), checked_images(request.batch), runtime::default_thread_count());
  // Halide's autoschedulers leave intermediate results to the host too, if only their place; it is not touched.
  const bool baselines = std::any_of(request.objects.begin(), request.objects.end(),
                                     [](const TimedObject& o) { return is_baseline(o.choice.strategy); });
  const size_t scratch = baselines ? size_t{2} << 30 : 0;
  DeviceData on_device(request.device_library, machine, request.device, scratch, data, request.batch);
  const Deadlines deadlines(request, began);
  std::vector<Contender> contenders;
  std::map<size_t, std::shared_ptr<DeviceRunner>> runners;
  for (size_t i = 0; i < request.objects.size() && !deadlines.stop_checking(contenders.size()); i++) {
    running.is(i);
    const TimedObject& object = request.objects[i];
    const auto runner = runners[i] =
        std::make_shared<DeviceRunner>(on_device, object.choice, machine, object.library, request.cold);
    if (const std::string failure = runner->check(); !failure.empty()) {
      answer({{"object", i}, {"failure", failure}});
      if (!on_device.works()) return lost_device_status;
    } else {
      contenders.push_back({i, running.timed(i, [runner] { return runner->time(); })});
    }
  }
  const auto check = [&](size_t i) { return runners.at(i)->check(); };
  return time_all(std::move(contenders), deadlines.turns(3), running, check, [&] { return on_device.works(); });
}

}  // namespace

int time_kernels(const fs::path& path) {
  const Clock::time_point began = Clock::now();
  const TimingRequest request = parse_timing_request(read_file(path));
  const Machine machine = machine_for(request.target, request.threads);
  RunningObject running(running_object_file(path));
  return machine.device == Device::cpu ? time_on_cpu(request, machine, running, began)
                                       : time_on_device(request, machine, running, began);
}

}  // namespace resnetc
