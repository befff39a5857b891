#include "compiler/tune/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <regex>

#include "compiler/clock.h"
#include "compiler/files.h"
#include "compiler/message.h"
#include "compiler/passes.h"
#include "compiler/process.h"
#include "compiler/program.h"
#include "compiler/toolchain.h"
#include "compiler/tune/device.h"
#include "compiler/tune/key_search.h"
#include "compiler/tune/trials.h"
#include "compiler/tune/tune_progress.h"
#include "compiler/tune/tune_report.h"
#include "compiler/tune/whole_net.h"
#include "runtime/cpu.h"
#include "runtime/program/cache_size.h"
#include "runtime/program/machine_peak.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

struct Net {
  Model model;
  Graph graph;  // after all passes
  bool cold;    // its weights outgrow the last-level cache
};

// What the whole run knows.
struct Tuning {
  TuneOptions options;
  Machine machine;
  std::string hardware = {};     // the name of the CPU or of the device
  size_t cache_bytes = 0;        // of its last level
  fs::path device_library = {};  // make_kernel_device's; empty for the CPU
  fs::path records = {}, trials = {};
  std::vector<Net> nets = {};
  std::vector<KeySearch> keys = {};
  ScheduleDb before = {};  // what stood when it began
  CostModel model = {};
  double peak_gflops = 0;      // of all threads
  double earlier_seconds = 0;  // spent by earlier runs on the same file
  Clock::time_point start = {};
  fs::path folder = {};

  bool on_device() const { return machine.device != Device::cpu; }
  double left() const { return options.budget_s - seconds_since(start); }
};

void require_own_instruction_set(const Machine& machine) {
  const uint32_t missing = cpu_feature_bits(machine.target) & ~runtime::cpu_features();
  if (missing != 0)
    throw Error(fmt::format("--target {}: this CPU lacks {}; tune on a machine that has it and copy the records here",
                            machine.target.to_string(), runtime::cpu_feature_name(missing)));
}

size_t weight_bytes(const Graph& graph) {
  size_t bytes = 0;
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<Weight>(node.op))
      bytes += static_cast<size_t>(element_count(node.type)) * element_bytes(node.type.dtype);
  return bytes;
}

std::vector<KeySearch> collect_keys(const Tuning& t) {
  const std::regex wanted(t.options.kernels);
  std::vector<KeySearch> keys;
  for (const Net& net : t.nets) {
    const Program program = select_kernels(net.graph, t.machine);
    for (size_t k = 0; k < program.kernels.size(); k++) {
      const KernelKey& key = program.kernels[k].key;
      const std::string text = to_string(key);
      if (std::holds_alternative<Input>(key.op) || std::holds_alternative<Output>(key.op)) continue;
      if (!std::regex_search(text, wanted) || candidates(key, t.machine).size() < 2) continue;
      const auto calls = static_cast<int>(std::count_if(
          program.steps.begin(), program.steps.end(), [&](const Step& s) { return s.kernel == static_cast<int>(k); }));
      const auto known = std::find_if(keys.begin(), keys.end(), [&](const KeySearch& s) { return s.text == text; });
      if (known != keys.end()) {
        known->calls += calls;
        known->cold |= net.cold;
        continue;
      }
      const auto match = t.before.find(key, t.machine, t.options.batch, t.hardware);
      keys.push_back(start_search(key, calls, t.machine, match ? std::optional(match->choice) : std::nullopt));
      keys.back().cold = net.cold;
    }
  }
  if (keys.empty())
    throw Error(fmt::format("no kernel of these models has more than one candidate{}",
                            t.options.kernels.empty() ? "" : " and matches --kernels " + t.options.kernels));
  return keys;
}

Record record_of(const Tuning& t, const KeySearch& search, const Choice& choice, double milliseconds) {
  Record r;
  r.key = search.text;
  r.target = record_target(t.machine);
  r.choice = choice;
  r.threads = t.options.threads;
  r.batch = t.options.batch;
  r.largest_winograd = t.machine.largest_winograd;
  r.cold = search.cold;
  r.milliseconds = milliseconds;
  r.default_milliseconds = search.milliseconds / search.fallback_ratio;
  if (milliseconds > 0) {
    r.gflops = static_cast<double>(flop_count(search.key)) * t.options.batch / milliseconds * 1e-6;
    r.percent_of_peak = t.peak_gflops > 0 ? 100 * r.gflops / t.peak_gflops : 0;
  }
  (t.on_device() ? r.device : r.cpu) = t.hardware;
  r.halide = halide_version();
  r.strategy_version = strategy_named(choice.strategy).version;
  return r;
}

// Trials of earlier runs with the same conditions need no second try.
void resume(Tuning& t) {
  const std::string target = record_target(t.machine), halide = halide_version();
  for (const Trial& trial : read_trials(t.trials)) {
    const Record& r = trial.record;
    t.earlier_seconds = std::max(t.earlier_seconds, trial.second);
    if (r.target != target || r.cpu + r.device != t.hardware || r.halide != halide || r.threads != t.options.threads ||
        r.batch != t.options.batch)
      continue;
    for (KeySearch& search : t.keys) {
      if (search.text != r.key || search.cold != r.cold) continue;
      const auto at = std::find(search.choices.begin(), search.choices.end(), r.choice);
      if (at == search.choices.end() || strategy_named(r.choice.strategy).version != r.strategy_version) continue;
      const auto i = static_cast<size_t>(at - search.choices.begin());
      search.tried[i] = true;
      if (trial.failure.empty() && r.milliseconds > 0)
        t.model.add(search.text, r.choice, search.cycles[i], r.milliseconds);
    }
  }
}

// Whether the file says of this very key and these conditions that `best` is best.
bool has_record(const Tuning& t, const RecordFile& file, const KeySearch& search) {
  const Record wanted = record_of(t, search, search.best, 0);
  const std::string identity = identity_of(wanted);
  bool found = false;
  for (const Record& r : file.records)
    if (identity_of(r) == identity)
      found = !r.dropped && r.choice == search.best && r.cold == wanted.cold && r.halide == wanted.halide &&
              r.strategy_version == wanted.strategy_version;
  return found;
}

// What won for other keys of the same kind, the nearest work first.
std::vector<Choice> winners_elsewhere(const Tuning& t, const KeySearch& search) {
  std::vector<std::pair<double, Choice>> found;
  const double flop = std::log(1.0 + static_cast<double>(flop_count(search.key)));
  for (const KeySearch& other : t.keys)
    if (other.milliseconds > 0 && other.key.op.index() == search.key.op.index() && &other != &search)
      found.emplace_back(std::abs(std::log(1.0 + static_cast<double>(flop_count(other.key))) - flop), other.best);
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Choice> result;
  for (size_t i = 0; i < found.size() && i < 3; i++) result.push_back(found[i].second);
  return result;
}

// Measures in a folder of its own.
std::vector<Measurement> try_out(Tuning& t, const KeySearch& search, const std::vector<Choice>& choices,
                                 double compile_limit_s) {
  const fs::path folder = t.folder / "batch";
  fs::create_directories(folder);
  MeasureOptions options{folder,      t.options.cache, t.options.target, t.options.threads, t.options.batch,
                         search.cold, t.options.jobs,  t.device_library, t.options.device};
  options.compile_limit_s = compile_limit_s;
  std::vector<Measurement> measured = measure(search.key, choices, options);
  fs::remove_all(folder);
  return measured;
}

void note_trial(const Tuning& t, const KeySearch& search, const Measurement& m) {
  append_trial(t.trials, {record_of(t, search, m.choice, m.failure.empty() ? m.milliseconds : 0), m.failure,
                          t.earlier_seconds + seconds_since(t.start)});
}

void measure_batch(Tuning& t, KeySearch& search, const std::vector<Choice>& batch) {
  const std::vector<Measurement> measured = try_out(t, search, batch, std::clamp(t.left() / 2, 5.0, 30.0));
  const bool improved = enter(search, t.model, measured);
  if (search.milliseconds == 0) {
    print_message("{}: no candidate runs: {}\n", search.text, measured.front().failure);
  } else if (improved || !search.has_record) {
    append_line(t.records, to_json_line(record_of(t, search, search.best, search.milliseconds)));
    search.has_record = true;
  }
  // Behind the record: what was tried is not tried again, and a win whose record a kill prevented would be lost.
  for (const Measurement& m : measured) note_trial(t, search, m);
}

// The rest of the budget that the comparison of whole nets needs, a third at most.
double comparison_seconds(const Tuning& t) {
  double seconds = 0;
  for (const Net& net : t.nets) seconds += 8 + 4e-8 * static_cast<double>(weight_bytes(net.graph));
  return std::min(seconds, t.options.budget_s / 3);
}

// The record of the best choice no longer counts; what stood before is said again.
void drop(Tuning& t, KeySearch& search) {
  Record lost = record_of(t, search, search.best, search.milliseconds);
  lost.dropped = true;
  append_line(t.records, to_json_line(lost));
  take_back(search);
  append_line(t.records, to_json_line(record_of(t, search, search.best, search.milliseconds)));
}

// Wins of this run that are losses in the whole net are dropped; if the net as a whole is slower, all are. share: of
// the time.
NetComparison compare_whole_net(Tuning& t, const Net& net, double share, TuneProgress& progress) {
  progress.say(fmt::format("{}: timing the whole net, before against after", net.model.name));
  const WholeNetOptions options{t.folder / "net", t.options.cache, t.options.target, t.options.threads,
                                t.options.batch,  t.options.jobs,  t.options.device, std::min(share / 2, 20.0)};
  fs::create_directories(options.folder);
  const auto compare = [&] {
    return compare_nets(net.model, select_kernels(net.graph, t.machine, t.before, t.options.batch, t.hardware),
                        select_kernels(net.graph, t.machine, read_all_records(t.records, shipped_records_folder()),
                                       t.options.batch, t.hardware),
                        t.machine, options);
  };
  NetComparison comparison = compare();
  int lost = 0;
  for (KeySearch& search : t.keys) {
    const auto before = comparison.before.kernel.find(search.text), after = comparison.after.kernel.find(search.text);
    if (before == comparison.before.kernel.end() || after == comparison.after.kernel.end()) continue;
    if (search.best == search.before || after->second <= before->second) continue;
    progress.say(fmt::format("{}: {} wins alone but not in {} ({:.4g} ms, {:.4g} before): dropped", search.text,
                             to_string(search.best), net.model.name, after->second, before->second));
    drop(t, search);
    lost++;
  }
  if (lost > 0 && t.left() > 3) comparison = compare();
  if (comparison.after.milliseconds > 1.01 * comparison.before.milliseconds) {
    progress.say(fmt::format("{}: slower as a whole ({:.3f} ms, {:.3f} before): what was won is dropped",
                             net.model.name, comparison.after.milliseconds, comparison.before.milliseconds));
    for (KeySearch& search : t.keys)
      if (search.best != search.before) drop(t, search);
    comparison.after = comparison.before;
  }
  print_message("{}: {:.3f} ms before, {:.3f} ms after tuning ({}, batch {})\n", net.model.name,
                comparison.before.milliseconds, comparison.after.milliseconds,
                t.on_device() ? t.hardware : fmt::format("{} threads", t.options.threads), t.options.batch);
  return comparison;
}

// Those that could be compared, by name. Where the default of a kernel does not run, there is no net without the new
// records.
std::vector<std::pair<std::string, NetComparison>> compare_whole_nets(Tuning& t, TuneProgress& progress) {
  std::vector<std::pair<std::string, NetComparison>> comparisons;
  for (size_t i = 0; i < t.nets.size(); i++) {
    const std::string& name = t.nets[i].model.name;
    const double share = std::max(3.0, (t.left() - 6) / static_cast<double>(t.nets.size() - i));
    try {
      comparisons.emplace_back(name, compare_whole_net(t, t.nets[i], share, progress));
    } catch (const Error& e) {
      check_interrupted();
      progress.say(fmt::format("{}: cannot be timed as a whole: {}", name, e.what()));
    }
  }
  return comparisons;
}

void search_all(Tuning& t, TuneProgress& progress, double reserve) {
  // What a batch costs beside its candidates is a driver's start; each may have a CPU to be compiled on.
  const size_t batch_size = t.on_device() ? static_cast<size_t>(std::clamp(t.options.jobs, 8, 16)) : 8;
  std::vector<bool> done(t.keys.size(), false);
  double longest = 0;  // seconds of a batch; one is measured whatever the budget
  while (longest == 0 || t.left() > reserve + longest) {
    size_t next = t.keys.size();
    for (size_t i = 0; i < t.keys.size(); i++)
      if (!done[i] && (next == t.keys.size() || priority(t.keys[i]) > priority(t.keys[next]))) next = i;
    if (next == t.keys.size()) break;
    KeySearch& search = t.keys[next];
    const std::vector<Choice> batch = next_batch(search, t.model, winners_elsewhere(t, search), batch_size);
    if (batch.empty()) {
      done[next] = true;
      continue;
    }
    const Clock::time_point start = Clock::now();
    measure_batch(t, search, batch);
    longest = std::max(0.7 * longest, seconds_since(start));
    if (search.milliseconds == 0) done[next] = true;
    progress.update(t.keys, seconds_since(t.start));
  }
}

void measure_baselines(Tuning& t, TuneProgress& progress, double reserve) {
  for (KeySearch& search : t.keys) {
    for (const Strategy* baseline : baselines()) {
      if (t.left() < reserve) return;
      if (!baseline->applies(search.key, t.machine)) continue;
      // On the CPU images go through a net one by one.
      const Choice choice{std::string(baseline->name), {{"batch", t.on_device() ? t.options.batch : 1}}};
      const Measurement m = try_out(t, search, {search.best, choice}, std::clamp(t.left() - reserve, 5.0, 60.0))[1];
      note_trial(t, search, m);
      progress.say(m.failure.empty() ? fmt::format("{}: {} takes {:.4g} ms, the best here {:.4g} ms", search.text,
                                                   baseline->name, m.milliseconds, search.milliseconds)
                                     : fmt::format("{}: {}: {}", search.text, baseline->name, m.failure));
    }
  }
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

// Finds out what the kernels run on.
void find_hardware(Tuning& t) {
  if (!t.on_device()) {
    t.hardware = cpu_name();
    // A guest shares its host's cache with others: of the 480 MB that a Granite Rapids reports, two CPUs were seen to
    // have 64 to 128 (reading 64 MB over and over 47 GB/s, 128 MB 29, more 23).
    t.cache_bytes = std::min(program::last_level_cache_bytes(),
                             (size_t{64} << 20) * static_cast<size_t>(runtime::default_thread_count()));
    return;
  }
  const fs::path folder = t.folder / "device";
  fs::create_directories(folder / "cache");
  // What drivers compile serves the next process too, and goes with the folder.
  setenv("CUDA_CACHE_PATH", (folder / "cache").c_str(), 0);
  t.device_library = make_kernel_device(t.machine, t.options.target, folder);
  const DeviceDescription device = describe_device(t.device_library, t.machine, t.options.device);
  t.hardware = device.name;
  t.cache_bytes = device.cache_bytes;
  t.peak_gflops = device.peak_gflops;
  print_message("{}: {:.1f} GiB of memory, a cache of {:.1f} MiB, measured peak {:.0f} GFLOP/s\n", device.name,
                static_cast<double>(device.memory_bytes) / (1u << 30),
                static_cast<double>(device.cache_bytes) / (1u << 20), device.peak_gflops);
}

void tune(const TuneOptions& options) {
  Tuning t{options, machine_for(options.target, options.threads)};
  t.start = Clock::now();
  t.machine.largest_winograd = options.largest_winograd;
  t.machine.batch = options.batch;
  check_weights_storage(options.weights, t.machine);
  require_own_instruction_set(t.machine);
  if (t.on_device()) t.options.threads = t.machine.threads = 1;
  if (!t.on_device() && options.device > 0)
    throw Error(fmt::format("--device {}: --target {} is for the CPU", options.device, options.target));
  const StagingFolder working(fs::temp_directory_path() / "resnetc-tune");
  t.folder = working.path();
  find_hardware(t);
  t.records = options.records.empty() ? own_record_file(t.machine, t.hardware) : options.records;
  if (t.records.empty()) throw Error("no file of records: give --db FILE, or set HOME or XDG_DATA_HOME");
  t.trials = trials_file(t.records);

  t.before = read_all_records(t.records, shipped_records_folder());
  for (const std::string& problem : t.before.problems()) print_message("resnetc: {}\n", problem);
  for (const fs::path& topology : options.topologies) {
    Model model = load_model(topology, "random:1", options.model);
    Graph graph = run_passes(model.graph, "", options.weights, t.machine.device);
    const size_t bytes = weight_bytes(graph);
    const bool cold = bytes > t.cache_bytes / 2;
    print_message("{}: {:.1f} MB of weights, timed as they come from {}\n", model.name,
                  1e-6 * static_cast<double>(bytes), cold ? "memory" : "the cache");
    t.nets.push_back({std::move(model), std::move(graph), cold});
  }
  t.keys = collect_keys(t);
  const RecordFile known = read_records(t.records);
  for (KeySearch& search : t.keys) search.has_record = has_record(t, known, search);
  resume(t);
  if (!t.on_device()) t.peak_gflops = program::measure_machine(options.threads).flops * 1e-9;

  TuneProgress progress(options.budget_s, t.records.string());
  const double comparison = comparison_seconds(t), rest = options.budget_s - comparison;
  search_all(t, progress, comparison + (options.baseline ? rest / 2 : 0));
  if (options.baseline) measure_baselines(t, progress, comparison);
  progress.finish(t.keys, seconds_since(t.start));
  const auto comparisons = compare_whole_nets(t, progress);
  if (!options.report.empty()) {
    const TuneReport report{
        record_target(t.machine), t.hardware, t.options.threads, options.batch, t.peak_gflops, t.keys,
        read_trials(t.trials),    comparisons};
    replace_file(options.report, tune_report_html(report));
    print_message("{}: written\n", options.report.string());
  }
}

}  // namespace resnetc
