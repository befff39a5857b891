#include "compiler/tune/tune.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <regex>
#include <utility>

#include "compiler/cold_weights.h"
#include "compiler/files.h"
#include "compiler/message.h"
#include "compiler/passes.h"
#include "compiler/process.h"
#include "compiler/program.h"
#include "compiler/toolchain.h"
#include "compiler/tune/baselines.h"
#include "compiler/tune/check_nets.h"
#include "compiler/tune/device.h"
#include "compiler/tune/machine_lock.h"
#include "compiler/tune/peak.h"
#include "compiler/tune/resume.h"
#include "compiler/tune/search_keys.h"
#include "compiler/tune/trials.h"
#include "compiler/tune/tune_progress.h"
#include "compiler/tune/tune_report.h"
#include "compiler/tune/tuning.h"
#include "runtime/cpu.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

void require_own_instruction_set(const Machine& machine) {
  const uint32_t missing = cpu_feature_bits(machine.target) & ~runtime::cpu_features();
  if (missing != 0)
    throw Error(fmt::format("--target {}: this CPU lacks {}; tune on a machine that has it and copy the records here",
                            machine.target.to_string(), runtime::cpu_feature_name(missing)));
}

Net load_net(const Tuning& t, const fs::path& topology) {
  Net net{load_model(topology, "random:1", t.options.model), {}};
  net.graph = run_passes(net.model.graph, "", pass_target(t.machine, t.options.weights));
  net.weight_bytes = weight_bytes(net.graph);
  net.cold = are_cold(net.weight_bytes, t.cache_bytes);
  print_message("{}: {:.1f} MB of weights, timed as they come from {}\n", net.model.name,
                1e-6 * static_cast<double>(net.weight_bytes), net.cold ? "memory" : "the cache");
  return net;
}

// What the nets have in common of a key: they tune it once, with cold weights if one of them has such, for the most
// images at once.
struct KeyOfNets {
  KernelKey key;
  int calls = 0;
  int images = 1;
  bool cold = false;
};

// now: with the wins that no whole net has confirmed.
KeySearch start_search(const Tuning& t, const KeyOfNets& of, const ScheduleDb& now) {
  const auto choice_of = [&](const ScheduleDb& records) -> std::optional<Choice> {
    const auto match = records.find(of.key, t.machine, t.options.batch, t.hardware, of.cold);
    return match ? std::optional(match->choice) : std::nullopt;
  };
  KeySearch search = start_search(of.key, of.calls, t.tried(), choice_of(t.before), choice_of(now));
  search.images = of.images;
  search.cold = of.cold;
  return search;
}

// As many images as go through a kernel together somewhere in the net.
int images_of(const Tuning& t, const Program& program, const MemoryPlan& plan, int kernel) {
  const ImagesAtOnce at_once = images_at_once(plan, t.machine);
  int most = 1;
  for (size_t s = 0; s < program.steps.size(); s++)
    if (program.steps[s].kernel == kernel)
      most = std::max(most, static_cast<int>(s) < plan.tail_step ? at_once.head : at_once.tail);
  return std::min(most, t.options.batch);
}

void collect_keys(Tuning& t, const ScheduleDb& now) {
  const std::regex wanted(t.options.kernels);
  std::vector<KeyOfNets> keys;
  std::map<std::string, size_t> index;
  for (Net& net : t.nets) {
    const Program program = select_kernels(net.graph, t.machine);
    const MemoryPlan plan = plan_memory(program, t.machine);
    net.kernels = program.kernels.size();
    for (size_t k = 0; k < program.kernels.size(); k++) {
      const KernelKey& key = program.kernels[k].key;
      const std::string text = to_string(key);
      if (std::holds_alternative<Input>(key.op) || std::holds_alternative<Output>(key.op)) continue;
      if (!std::regex_search(text, wanted) || candidates(key, t.tried()).size() < 2) continue;
      const auto calls = std::count_if(program.steps.begin(), program.steps.end(),
                                       [&](const Step& s) { return s.kernel == static_cast<int>(k); });
      net.keys[text] = static_cast<int>(calls);
      const auto [at, is_new] = index.try_emplace(text, keys.size());
      if (is_new) keys.push_back({key});
      KeyOfNets& of = keys[at->second];
      of.calls += net.keys[text];
      of.images = std::max(of.images, images_of(t, program, plan, static_cast<int>(k)));
      of.cold |= net.cold;
    }
  }
  for (const KeyOfNets& of : keys) t.keys.push_back(start_search(t, of, now));
  if (t.keys.empty())
    throw Error(fmt::format("no kernel of these models has more than one candidate{}",
                            t.options.kernels.empty() ? "" : " and matches --kernels " + t.options.kernels));
}

// Measures in a folder of its own, with so much of the budget left. The times are those of a whole batch.
std::vector<Measurement> try_out(Tuning& t, const KeySearch& search, const std::vector<Choice>& choices,
                                 double left_s) {
  const fs::path folder = t.folder / "batch";
  make_folder(folder);
  MeasureOptions options{folder,      t.options.cache, t.options.target, t.options.threads, search.images,
                         search.cold, t.options.jobs,  t.device_library, t.options.device};
  options.left_s = left_s;
  std::vector<Measurement> measured = measure(search.key, choices, options);
  t.waited_s += options.waited_s;
  for (Measurement& m : measured) m.milliseconds *= static_cast<double>(t.options.batch) / search.images;
  fs::remove_all(folder);
  return measured;
}

// They only save work: where the disk takes none, the search goes on.
void keep_trial(Tuning& t, const Trial& trial) {
  try {
    append_trial(t.trials, trial);
  } catch (const Error& e) {
    if (!std::exchange(t.trials_are_lost, true))
      print_message("{}; another run will try again what this one has tried\n", e.what());
  }
}

void note_trial(Tuning& t, const KeySearch& search, const Measurement& m) {
  Trial trial{record_of(t, search, m.choice, m.failure.empty() ? m.milliseconds : 0), m.failure,
              t.earlier_seconds + seconds_since(t.start)};
  trial.temporary = m.temporary;
  trial.images = search.images;
  keep_trial(t, trial);
}

// left_s: of the budget, for it.
void measure_batch(Tuning& t, KeySearch& search, const std::vector<Choice>& batch, double left_s) {
  const std::vector<Measurement> measured = try_out(t, search, batch, left_s);
  const Choice best = search.best;
  const Entered entered = enter(search, t.model, measured);
  raise_peak(t, search, measured);
  if (search.milliseconds == 0) t.why_none = measured.front().failure;
  if (search.given_up) {
    print_message("{}: left for another run: {}\n", search.text, t.why_none);
    t.has_room = !is_lack_of_room(t.why_none);
  }
  if (entered == Entered::nothing) return;
  if (entered == Entered::wrong) {
    print_message("{}: {} ran before and fails now: {}: dropped\n", search.text, to_string(best),
                  measured.front().failure);
    drop_wrong(t, search, best);
  } else if (search.milliseconds == 0) {
    print_message("{}: no candidate runs: {}\n", search.text, measured.front().failure);
  } else if ((entered == Entered::better || !search.has_record) && !write_best(t, search)) {
    print_message("{}: another tuner's {} has come into the records; measured against it\n", search.text,
                  to_string(search.best));
  }
  // Behind the record: what was tried is not tried again, and a win whose record a kill prevented would be lost.
  for (const Measurement& m : measured) note_trial(t, search, m);
}

// other: seconds that are reserved for baselines.
void search_all(Tuning& t, TuneProgress& progress, double other) {
  const auto left = [&] { return t.left() - check_reserve(t) - other; };
  double longest = 0;  // seconds of a batch, without waiting for others; one is measured whatever the budget
  SearchActions actions;
  actions.has_time = [&] { return t.has_room && (longest == 0 || left() >= longest); };
  actions.learn = [&] { learn_from_others(t); };
  actions.measure = [&](KeySearch& search, const std::vector<Choice>& batch) {
    read_peak(t);
    const Clock::time_point start = Clock::now();
    const double waited_s = t.waited_s;
    measure_batch(t, search, batch, std::max(left(), 5.0));
    longest = std::max(0.7 * longest, seconds_since(start) - (t.waited_s - waited_s));
    progress.update(t.keys, seconds_since(t.start));
  };
  // What a batch costs beside its candidates is a driver's start; each may have a CPU to be compiled on.
  if (t.on_device()) actions.batch_size = static_cast<size_t>(std::clamp(t.options.jobs, 8, 16));
  search_keys(t.keys, t.model, actions);
}

// earlier: trials of the runs before.
void measure_baselines(Tuning& t, const std::vector<Trial>& earlier, TuneProgress& progress) {
  constexpr double least_seconds = 2;
  std::map<const Strategy*, double> longest;
  int left_out = 0;
  for (KeySearch& search : t.keys) {
    for (const Strategy* baseline : baselines()) {
      if (!baseline->applies(search.key, t.machine)) continue;
      if (is_measured(t, search, earlier, baseline->name)) continue;
      // Neither compiling nor timing may take what whole nets need.
      const double left = t.left() - check_reserve(t);
      if (left < std::max(longest[baseline], least_seconds)) {
        left_out++;
        continue;
      }
      const Choice choice = baseline_choice(baseline->name, search.images, t.limits);
      const Clock::time_point start = Clock::now();
      const double waited_s = t.waited_s;
      const std::vector<Measurement> measured = try_out(t, search, {search.best, choice}, left / 2);
      longest[baseline] = std::max(longest[baseline], seconds_since(start) - (t.waited_s - waited_s));
      const std::optional<Trial> trial = baseline_trial(t, search, measured[0], measured[1]);
      if (!trial) {
        left_out++;
        continue;
      }
      keep_trial(t, *trial);
      progress.say(trial->failure.empty() ? fmt::format("{}: {} takes {:.4g} ms, {:.4g} x the best here", search.text,
                                                        baseline->name, trial->record.milliseconds, trial->ratio)
                                          : fmt::format("{}: {}: {}", search.text, baseline->name, trial->failure));
    }
  }
  if (left_out > 0)
    progress.say(fmt::format("no time left for {} baseline{}: tune again to have {}", left_out,
                             left_out == 1 ? "" : "s", left_out == 1 ? "it" : "them"));
}

// Finds out what the kernels run on.
void find_hardware(Tuning& t) {
  if (!t.on_device()) {
    t.hardware = cpu_name();
    t.cache_bytes = usable_cache_bytes();
    return;
  }
  const fs::path folder = t.folder / "device";
  make_folder(folder / "cache");
  // What drivers compile serves the next process too, and goes with the folder.
  setenv("CUDA_CACHE_PATH", (folder / "cache").c_str(), 0);
  {
    const MachineLock compiling(MachineLock::compile, t.left());
    t.device_library = make_kernel_device(t.machine, t.options.target, folder);
  }
  const DeviceDescription device = [&] {
    const MachineLock timing(MachineLock::time, t.left());  // beside another tuner the peak would be too low
    return describe_device(t.device_library, t.machine, t.options.device);
  }();
  t.hardware = device.name;
  t.cache_bytes = device.cache_bytes;
  t.peak_gflops = device.peak_gflops;
  t.limits = device.limits;
  print_message(
      "{}: {:.1f} GiB of memory, a cache of {:.1f} MiB, {} multiprocessors, blocks of {} threads and {} KiB, "
      "measured peak {:.0f} GFLOP/s\n",
      device.name, static_cast<double>(device.memory_bytes) / (1u << 30),
      static_cast<double>(device.cache_bytes) / (1u << 20), device.limits.gpu_multiprocessors,
      device.limits.gpu_threads, device.limits.gpu_shared_bytes / 1024, device.peak_gflops);
}

void print_kept(const Tuning& t) {
  const auto in_force = records_in_force(read_records(t.records).records, Provisional::counts);
  const auto provisional =
      std::count_if(in_force.begin(), in_force.end(), [](const auto& record) { return record.second.provisional; });
  print_message("{} in {}, {} provisional\n", counted(in_force.size(), "record"), t.records.string(), provisional);
}

// Before anything is measured: the report is written at the end.
void require_writable_folder(const fs::path& report) {
  const fs::path folder = report.has_parent_path() ? report.parent_path() : fs::path(".");
  if (!fs::is_directory(folder) || access(folder.c_str(), W_OK) != 0)
    throw Error(fmt::format("--report {}: cannot write into {}", report.string(), folder.string()));
}

}  // namespace

double parse_duration(const std::string& text) {
  double number = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  const double scale = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (error != std::errc() || scale == 0 || !(number * scale >= 1) || number * scale > 1e7)
    throw Error(fmt::format("'{}' is not a duration such as 90s, 10m or 2h", text));
  return number * scale;
}

void tune(const TuneOptions& options) {
  Tuning t{options, machine_for(options.target, options.threads)};
  t.start = Clock::now();
  t.machine.largest_winograd = options.largest_winograd;
  t.machine.batch = options.batch;
  check_weights_storage(options.weights, t.machine);
  require_own_instruction_set(t.machine);
  if (!options.report.empty()) require_writable_folder(options.report);
  if (t.on_device()) t.options.threads = t.machine.threads = 1;
  if (!t.on_device() && options.device > 0)
    throw Error(fmt::format("--device {}: --target {} is for the CPU", options.device, options.target));
  const StagingFolder working(fs::temp_directory_path() / "resnetc-tune");
  t.folder = working.path();
  find_hardware(t);
  t.records = options.records.empty() ? own_record_file(t.machine, t.hardware) : options.records;
  if (t.records.empty()) throw Error("no file of records: give --db FILE, or set HOME or XDG_DATA_HOME");
  t.trials = trials_file(t.records);

  const RecordFile known = read_records(t.records);  // first: what others write from here on is seen to be new
  t.before = read_all_records(options.records, shipped_records_folder(), t.records);
  for (const std::string& problem : t.before.problems()) print_message("resnetc: {}\n", problem);
  for (const fs::path& topology : options.topologies) t.nets.push_back(load_net(t, topology));
  collect_keys(t, read_all_records(options.records, shipped_records_folder()));
  const std::vector<Trial> earlier = read_trials(t.trials, t.trials_read);
  resume(t, known, earlier);

  TuneProgress progress(options.budget_s, t.records.string());
  NamedComparisons comparisons;
  std::optional<Error> failed;
  const auto attempt = [&](const std::function<void()>& step) {
    try {
      if (!was_interrupted()) step();
    } catch (const Error& e) {
      if (!failed) failed = e;
    }
  };
  attempt([&] {
    search_all(t, progress, options.baseline ? (options.budget_s - check_reserve(t)) / 2 : 0);
    if (options.baseline) measure_baselines(t, earlier, progress);
    read_peak(t);
  });
  progress.finish(t.keys, seconds_since(t.start));
  const bool any_time =
      std::any_of(t.keys.begin(), t.keys.end(), [](const KeySearch& search) { return search.milliseconds > 0; });
  if (any_time) attempt([&] { check_nets(t, progress, comparisons); });
  attempt([&] {
    read_peak(t);
    for (KeySearch& search : t.keys) restate_shares(t, search);
  });
  if (was_interrupted()) print_kept(t);
  if (!options.report.empty()) {
    replace_file(options.report, tune_report_html(t, read_trials(t.trials), comparisons));
    print_message("{}: written\n", options.report.string());
  }
  if (failed) throw *failed;
  check_interrupted();  // steps were left out
  if (!any_time) throw Error("no kernel could be timed: " + t.why_none);
}

}  // namespace resnetc
