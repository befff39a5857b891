#include "compiler/tune/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>

#include "compiler/clock.h"
#include "compiler/emit.h"
#include "compiler/files.h"
#include "compiler/process.h"
#include "compiler/toolchain.h"
#include "compiler/tune/machine_lock.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

constexpr double least_timing_seconds = 0.5;  // in which candidates can be timed

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, 300);
}

// What was waited is gone from the budget. Returns why the lock was not to be had within it, "" if it was.
std::string wait_for(std::optional<MachineLock>& lock, MachineLock::Use use, MeasureOptions& options) {
  const Clock::time_point start = Clock::now();
  std::string busy;
  try {
    lock.emplace(use, options.left_s);
  } catch (const MachineIsBusy& e) {
    busy = one_line(e.what());
  }
  const double waited = seconds_since(start);
  options.left_s -= waited;
  options.waited_s += waited;
  return busy;
}

}  // namespace

bool is_lack_of_room(const std::string& described) {
  // A limit of file sizes is a full disk too.
  constexpr std::string_view reasons[] = {"No space left", "disk full", "File too large", "quota exceeded"};
  return std::any_of(std::begin(reasons), std::end(reasons),
                     [&](std::string_view reason) { return described.find(reason) != std::string::npos; });
}

bool is_temporary(const CommandResult& failed, const std::string& described) {
  // What the kernel, the C++ library, LLVM and resnetc say.
  constexpr std::string_view reasons[] = {"out of memory", "Cannot allocate memory", "bad_alloc",
                                          "threads cannot be started"};
  if (is_lack_of_room(failed.errors) || is_lack_of_room(described)) return true;
  if (failed.timed_out || failed.status == 128 + SIGKILL || failed.status == 128 + SIGTERM) return true;
  return std::any_of(std::begin(reasons), std::end(reasons), [&](std::string_view reason) {
    return failed.errors.find(reason) != std::string::npos || described.find(reason) != std::string::npos;
  });
}

std::vector<KernelObject> compile_objects(const std::vector<std::pair<KernelKey, Choice>>& kernels,
                                          MeasureOptions& options) {
  std::vector<KernelObject> objects(kernels.size());
  std::optional<MachineLock> compiling;
  if (const std::string busy = wait_for(compiling, MachineLock::compile, options); !busy.empty()) {
    for (KernelObject& object : objects) object = {busy, true, OverLimit::of_budget, {}, 0};
    return objects;
  }
  const Clock::time_point start = Clock::now();
  TimeLimit limit = shortened(options.compile_limit_s, options.left_s);
  std::vector<Command> commands;
  for (size_t i = 0; i < kernels.size(); i++) {
    commands.push_back(kernel_command(kernels[i].first, kernels[i].second, options.target, options.threads,
                                      options.folder, fmt::format("{}.o", i), options.cache));
    commands.back().time_limit_s = limit.seconds;
  }
  const auto fail = [&](KernelObject& object, const Command& command, const CommandResult& result) {
    object.failure = one_line(describe_failure(command, result));
    object.temporary = is_temporary(result, object.failure);
    if (result.timed_out) object.over = limit.kind;
  };
  run_commands(commands, options.jobs, [&](size_t i, const CommandResult& result) {
    if (result.status != 0) return fail(objects[i], commands[i], result);
    objects[i].scratch_bytes = nlohmann::json::parse(result.output).at("scratch_bytes");
  });
  const fs::path hooks =
      options.device_library.empty() ? runtime_folder() / "libresnetc_runtime.a" : options.device_library;
  std::vector<Command> links;
  std::vector<size_t> linked;
  limit = shortened(options.compile_limit_s, options.left_s - seconds_since(start));
  for (size_t i = 0; i < kernels.size(); i++) {
    if (!objects[i].failure.empty()) continue;
    objects[i].library = options.folder / fmt::format("{}.so", i);
    links.push_back({{"ld", "-shared", "-o", fmt::format("{}.so", i), fmt::format("{}.o", i), hooks.string()},
                     options.folder,
                     limit.seconds});
    linked.push_back(i);
  }
  run_commands(links, options.jobs, [&](size_t i, const CommandResult& result) {
    if (result.status != 0) fail(objects[linked[i]], links[i], result);
  });
  options.left_s -= seconds_since(start);
  return objects;
}

std::vector<Measurement> measure(const KernelKey& key, const std::vector<Choice>& choices, MeasureOptions& options) {
  std::vector<Measurement> result;
  for (const Choice& choice : choices) result.push_back({choice, "", 0, 0, 0, false, OverLimit::none});
  std::vector<std::pair<KernelKey, Choice>> kernels;
  for (const Choice& choice : choices) kernels.emplace_back(key, choice);
  const std::vector<KernelObject> objects = compile_objects(kernels, options);
  for (size_t i = 0; i < choices.size(); i++) {
    result[i].failure = objects[i].failure;
    result[i].temporary = objects[i].temporary;
    result[i].over = objects[i].over;
  }

  if (std::none_of(objects.begin(), objects.end(), [](const KernelObject& o) { return o.failure.empty(); }))
    return result;
  std::optional<MachineLock> timing;
  const std::string busy = wait_for(timing, MachineLock::time, options);
  const TimeLimit limit =
      busy.empty() ? shortened(options.time_limit_s, options.left_s) : TimeLimit{0, OverLimit::of_budget};
  const auto fail_in_time = [&](Measurement& m, const std::string& failure) {
    m.failure = failure;
    m.temporary = true;
    m.over = limit.kind;
  };
  // Again without the one that crashed, until none does. All share the limit: a quarter of what is left of it stays for
  // the others, should one hang.
  double left = limit.seconds;
  const fs::path request_file = options.folder / "request.json";
  for (;;) {
    TimingRequest request{to_string(key),
                          options.target,
                          options.threads,
                          options.batch,
                          options.cold,
                          options.device_library.string(),
                          options.device,
                          {},
                          left};
    std::vector<size_t> index;
    for (size_t i = 0; i < choices.size(); i++) {
      if (!result[i].failure.empty()) continue;
      request.objects.push_back({choices[i], objects[i].library.string(), objects[i].scratch_bytes});
      index.push_back(i);
    }
    if (index.empty()) return result;
    if (left < least_timing_seconds) {
      for (const size_t i : index) fail_in_time(result[i], busy.empty() ? "there was no time to time it" : busy);
      return result;
    }
    if (index.size() > 1) request.limit_s *= 0.75;
    write_file(request_file, to_json(request));
    fs::remove(running_object_file(request_file));
    const char* kind = options.device_library.empty() ? time_kernels_command : time_on_device_command;
    const Command command{{own_path().string(), kind, request_file.string()}, options.folder, request.limit_s};
    const CommandResult ended = run_commands({command}, 1).front();
    left -= ended.seconds;
    const std::vector<TimingAnswer> answers = parse_timing_answers(ended.output, index.size());
    if (ended.status == 0) {
      for (size_t i = 0; i < index.size(); i++) {
        Measurement& m = result[index[i]];
        m.failure = answers[i].failure;
        if (m.failure.empty() && answers[i].milliseconds <= 0) fail_in_time(m, "there was no time to time it");
        m.milliseconds = answers[i].milliseconds;
        m.ratio = answers[i].ratio;
        m.noise = answers[i].noise;
      }
      return result;
    }
    size_t blamed = running_object(request_file, index.size());
    if (blamed == index.size()) {
      // Nothing ran yet. On a device that is no candidate's fault, nor where the reference took too long; else it may
      // be their memory's.
      if (!options.device_library.empty()) throw Error(one_line(describe_failure(command, ended)));
      if (ended.timed_out) {
        for (const size_t i : index) fail_in_time(result[i], one_line(describe_failure(command, ended)));
        return result;
      }
      const auto most = std::max_element(
          request.objects.begin(), request.objects.end(),
          [](const TimedObject& x, const TimedObject& y) { return x.scratch_bytes < y.scratch_bytes; });
      blamed = static_cast<size_t>(most - request.objects.begin());
    }
    if (ended.status == lost_device_status && !ended.timed_out) {
      for (size_t i = 0; i < index.size(); i++) result[index[i]].failure = answers[i].failure;
    } else {
      Measurement& m = result[index[blamed]];
      m.failure = one_line(describe_failure(command, ended));
      m.temporary = is_temporary(ended, m.failure);
      if (ended.timed_out) m.over = limit.kind;
    }
  }
}

}  // namespace resnetc
