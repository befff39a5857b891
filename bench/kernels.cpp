// bench_kernels: the time of each distinct kernel of some models, alone on the machine, as compiled by default or for
// every candidate, against the peak that a loop of multiply-adds reaches. Prints a table or JSON. bench/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/kernel_rounds.h"
#include "compiler/files.h"
#include "compiler/message.h"
#include "compiler/model.h"
#include "compiler/passes.h"
#include "compiler/process.h"
#include "compiler/program.h"
#include "compiler/worker.h"
#include "runtime/cpu.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Arguments {
  std::vector<fs::path> models;
  std::string target = "host";
  int threads = runtime::default_thread_count();
  int batch = 1;
  int rounds = 5;
  std::string filter;
  std::vector<std::string> choices;
  bool candidates = false;
  fs::path cache;
  bool json = false;
};

struct BenchKernel {
  KernelKey key;
  std::vector<Choice> choices = {};
  std::vector<std::pair<std::string, int>> calls = {};  // by model
  std::vector<KernelTimes> times = {};                  // of the choices
};

// A machine whose code runs here, or what is wrong with the option.
Machine machine_to_measure(const Arguments& arguments) {
  const auto refuse = [&](const std::string& why) {
    return CLI::ValidationError(why, CLI::ExitCodes::ValidationError);
  };
  Machine machine;
  try {
    machine = machine_for(arguments.target, arguments.threads);
  } catch (const Error& e) {
    throw refuse(e.what());
  }
  if (machine.device != Device::cpu)
    throw refuse(fmt::format("--target {}: kernels are measured on the CPU alone", arguments.target));
  const uint32_t missing = cpu_feature_bits(machine.target) & ~runtime::cpu_features();
  if (missing != 0)
    throw refuse(fmt::format("--target {}: this CPU lacks {}", arguments.target, runtime::cpu_feature_name(missing)));
  return machine;
}

// Each distinct kernel once, however many models and steps call it.
std::vector<BenchKernel> kernels_of(const Arguments& arguments, const Machine& machine) {
  std::vector<Choice> given;
  for (const std::string& text : arguments.choices) given.push_back(parse_choice(text));
  std::vector<BenchKernel> kernels;
  for (const fs::path& path : arguments.models) {
    const Model model = load_model(path, "random:1", {});
    const Program program = select_kernels(run_passes(model.graph, "", pass_target(machine)), machine);
    for (size_t k = 0; k < program.kernels.size(); k++) {
      const KernelKey& key = program.kernels[k].key;
      // These copy the caller's tensors.
      if (std::holds_alternative<Input>(key.op) || std::holds_alternative<Output>(key.op)) continue;
      if (to_string(key).find(arguments.filter) == std::string::npos) continue;
      auto at = std::find_if(kernels.begin(), kernels.end(), [&](const BenchKernel& b) { return b.key == key; });
      if (at == kernels.end()) {
        kernels.push_back({key});
        at = kernels.end() - 1;
        at->choices = !given.empty()         ? given
                      : arguments.candidates ? candidates(key, machine)
                                             : std::vector<Choice>{program.kernels[k].choice};
        for (const Choice& choice : at->choices)
          if (!strategy_named(choice.strategy).applies(key, machine))
            throw Error(fmt::format("{} does not apply to {}: narrow --filter", choice.strategy, to_string(key)));
      }
      const auto calls = std::count_if(program.steps.begin(), program.steps.end(),
                                       [&](const Step& s) { return s.kernel == static_cast<int>(k); });
      at->calls.emplace_back(model.name, static_cast<int>(calls));
    }
  }
  if (kernels.empty()) throw Error(fmt::format("no kernel's key holds '{}'", arguments.filter));
  return kernels;
}

// Those with one choice each take turns; all candidates of a kernel do among themselves, for their weights take memory.
void time_all(std::vector<BenchKernel>& kernels, const Arguments& arguments, program::MachineMeter& meter) {
  const StagingFolder working(fs::temp_directory_path() / "resnetc-bench-kernels");
  RoundsOptions options{arguments.target, arguments.threads, arguments.batch, arguments.rounds, {}, arguments.cache};
  const size_t at_once = arguments.candidates ? 1 : kernels.size();
  for (size_t first = 0; first < kernels.size(); first += at_once) {
    std::vector<std::pair<KernelKey, Choice>> group;
    for (size_t i = first; i < first + at_once; i++)
      for (const Choice& choice : kernels[i].choices) group.emplace_back(kernels[i].key, choice);
    options.folder = working.path() / fmt::format("{}", first);
    fs::create_directories(options.folder);
    const std::vector<KernelTimes> times = time_in_rounds(group, options, meter);
    size_t next = 0;
    for (size_t i = first; i < first + at_once; i++)
      for (size_t c = 0; c < kernels[i].choices.size(); c++) kernels[i].times.push_back(times[next++]);
    fs::remove_all(options.folder);
  }
}

Json to_json(const std::vector<BenchKernel>& kernels, const Arguments& arguments, const Machine& machine,
             const program::MachinePeak& peak) {
  const auto figures = [](const Milliseconds& ms) { return Json{{"median_ms", ms.median}, {"least_ms", ms.least}}; };
  Json list = Json::array();
  for (const BenchKernel& kernel : kernels) {
    Json choices = Json::array(), calls = Json::object();
    for (const auto& [model, count] : kernel.calls) calls[model] = count;
    for (size_t c = 0; c < kernel.choices.size(); c++) {
      Json row{{"choice", to_string(kernel.choices[c])}};
      const KernelTimes& times = kernel.times[c];
      if (times.failure.empty())
        row.update({{"hot", figures(times.hot)}, {"cold", figures(times.cold)}});
      else
        row["failure"] = times.failure;
      choices.push_back(row);
    }
    list.push_back(
        {{"key", to_string(kernel.key)}, {"calls", calls}, {"flop", flop_count(kernel.key)}, {"choices", choices}});
  }
  return {{"target", machine.target.to_string()},
          {"threads", arguments.threads},
          {"batch", arguments.batch},
          {"rounds", arguments.rounds},
          {"vectors", peak.vectors},
          {"peak_gflops", peak.flops * 1e-9},
          {"lowest_reading_gflops", peak.least_flops * 1e-9},
          {"readings", peak.readings},
          {"memory_gbytes_per_second", peak.bytes * 1e-9},
          {"kernels", list}};
}

std::string table(const std::vector<BenchKernel>& kernels, const Arguments& arguments, const Machine& machine,
                  const program::MachinePeak& peak) {
  std::string text = fmt::format(
      "{}, {} threads; peak {:.0f} GFLOP/s ({}), the best of {} readings from {:.0f} on; memory {:.0f} GB/s\n"
      "median over {} rounds and its share of the peak, (share of the least time)\n",
      machine.target.to_string(), arguments.threads, peak.flops * 1e-9, peak.vectors, peak.readings,
      peak.least_flops * 1e-9, peak.bytes * 1e-9, arguments.rounds);
  for (const BenchKernel& kernel : kernels) {
    text += to_string(kernel.key) + "\n ";
    for (const auto& [model, count] : kernel.calls) text += fmt::format(" {} x in {}", count, model);
    text += "\n";
    const double flop = static_cast<double>(flop_count(kernel.key) * arguments.batch);
    const auto figures = [&](const Milliseconds& ms) {
      const auto percent = [&](double milliseconds) { return flop / milliseconds * 1e5 / peak.flops; };
      return fmt::format("{:9.4f} ms {:4.0f} % ({:3.0f} %)", ms.median, percent(ms.median), percent(ms.least));
    };
    for (size_t c = 0; c < kernel.choices.size(); c++) {
      const KernelTimes& times = kernel.times[c];
      text += times.failure.empty() ? fmt::format("  hot{}  cold{}", figures(times.hot), figures(times.cold))
                                    : "  FAILED: " + times.failure;
      text += fmt::format("  {}\n", to_string(kernel.choices[c]));
    }
  }
  return text;
}

int bench(int argc, char** argv) {
  // The children that compile kernels.
  if (const std::optional<int> status = run_worker(argc, argv)) return *status;
  Arguments arguments;
  CLI::App app{"Times each distinct kernel of some models alone, weights hot and cold, against the measured peak."};
  app.failure_message(CLI::FailureMessage::simple);
  app.add_option("MODEL.json", arguments.models, "The topology files")->required()->check(CLI::ExistingFile);
  app.add_option("-t,--target", arguments.target, "host, or a Halide target that this CPU runs")->capture_default_str();
  app.add_option("--threads", arguments.threads, "Default: this machine's")->check(CLI::Range(1, 4096));
  app.add_option("--batch", arguments.batch, "Images of each call")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--rounds", arguments.rounds, "Medians are over so many rounds, an odd number")
      ->capture_default_str()
      ->check(CLI::Range(1, 999));
  app.add_option("--filter", arguments.filter, "Only kernels whose key holds this text");
  CLI::Option* candidates = app.add_flag("--candidates", arguments.candidates, "Every candidate of each kernel");
  app.add_option("--choice", arguments.choices,
                 "This strategy with its parameters, not the default; several may be given")
      ->excludes(candidates)
      ->check([](const std::string& text) -> std::string {
        try {
          strategy_named(parse_choice(text).strategy);
          return "";
        } catch (const Error& e) {
          return e.what();
        }
      });
  app.add_option("--cache", arguments.cache, "Folder of compiled kernels (default: none)");
  app.add_flag("--json", arguments.json, "Print JSON");
  Machine machine;
  try {
    app.parse(argc, argv);
    if (arguments.rounds % 2 == 0)
      throw CLI::ValidationError("--rounds", fmt::format("{} is even: a median needs an odd number", arguments.rounds));
    machine = machine_to_measure(arguments);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    print_message("bench_kernels: {}\nTry bench_kernels --help\n", e.what());
    return 2;
  }
  if (!arguments.cache.empty()) arguments.cache = fs::absolute(arguments.cache);
  catch_interrupts();
  std::vector<BenchKernel> kernels = kernels_of(arguments, machine);
  program::MachineMeter meter(arguments.threads, cpu_feature_bits(machine.target));
  time_all(kernels, arguments, meter);
  fmt::print("{}", arguments.json ? to_json(kernels, arguments, machine, meter.peak()).dump(1) + "\n"
                                  : table(kernels, arguments, machine, meter.peak()));
  const std::string note = program::scatter_note(meter.peak());
  if (!note.empty()) print_message("bench_kernels: {}\n", note);
  // What is compiled by default must run; candidates may fail.
  for (const BenchKernel& kernel : kernels)
    for (size_t c = 0; c < kernel.choices.size(); c++)
      if (!kernel.times[c].failure.empty() && !arguments.candidates)
        throw Error(
            fmt::format("{}: {}: {}", to_string(kernel.key), to_string(kernel.choices[c]), kernel.times[c].failure));
  return 0;
}

}  // namespace
}  // namespace resnetc

int main(int argc, char** argv) {
  try {
    return resnetc::bench(argc, argv);
  } catch (const std::exception& e) {
    resnetc::print_message("bench_kernels: {}\n", e.what());
  }
  return 1;
}
