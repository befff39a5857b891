// resnetc: command line to stages.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <regex>

#include "compiler/clock.h"
#include "compiler/cold_weights.h"
#include "compiler/driver.h"
#include "compiler/emit.h"
#include "compiler/files.h"
#include "compiler/import/import_onnx.h"
#include "compiler/inspect/inspect.h"
#include "compiler/message.h"
#include "compiler/passes.h"
#include "compiler/print_targets.h"
#include "compiler/process.h"
#include "compiler/toolchain.h"
#include "compiler/tune/tune.h"
#include "compiler/worker.h"
#include "runtime/thread_count.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

// What compile and inspect both take.
struct ModelArguments {
  fs::path topology;
  std::string weights;
  std::string size;
  std::string target = "host";
  std::string winograd = "f5";
  std::string weights_storage = "f32";
  int threads = 0;
  int batch = 1;
  fs::path records;
  ModelOptions options;
};

struct CacheArguments {
  std::string folder;
  bool none = false;
};

struct CompileArguments {
  ModelArguments model;
  fs::path output;
  std::vector<std::string> emit;
  CacheArguments cache;
  int jobs = 0;
  bool verbose = false;
  std::string fallback;
};

struct TuneArguments {
  std::string budget = "10m";
  std::string size;
  std::string winograd = "f5";
  std::string weights_storage = "f32";
  CacheArguments cache;
  int threads = 0;
  TuneOptions options;
};

struct InspectArguments {
  ModelArguments model;
  std::vector<std::string> after;
  std::string format = "text";
  fs::path output;
};

fs::path default_cache() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg) return fs::path(xdg) / "resnetc";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache" / "resnetc";
  return {};
}

Hw parse_size(const std::string& text) {
  int h = 0, w = 0, end = 0;
  if (std::sscanf(text.c_str(), "%d%*1[xX]%d%n", &h, &w, &end) != 2 || end != static_cast<int>(text.size()) || h < 1 ||
      w < 1 || h > 8192 || w > 8192)
    throw CLI::ValidationError("--size", fmt::format("'{}' is not HxW with sides of 1 to 8192, such as 224x224", text));
  return {h, w};
}

DType parse_weights_storage(const std::string& name) {
  return name == to_string(DType::bf16) ? DType::bf16 : DType::f32;
}

Machine machine_of(const ModelArguments& arguments) {
  Machine machine =
      machine_for(arguments.target, arguments.threads > 0 ? arguments.threads : runtime::default_thread_count());
  machine.largest_winograd = parse_winograd(arguments.winograd);
  machine.batch = arguments.batch;
  check_weights_storage(parse_weights_storage(arguments.weights_storage), machine);
  return machine;
}

// Records as --db says, then the user's own, then those that came with resnetc.
ScheduleDb records_of(const ModelArguments& arguments, bool verbose) {
  if (!arguments.records.empty() && !fs::exists(arguments.records))
    throw Error(fmt::format("--db {}: not there", arguments.records.string()));
  ScheduleDb records = read_all_records(arguments.records, shipped_records_folder());
  for (const std::string& problem : records.problems()) resnetc::print_message("resnetc: {}\n", problem);
  for (const std::string& note : records.notes())
    if (verbose) print_message("{}\n", note);
  return records;
}

Program select_kernels(const Graph& graph, const Machine& machine, const ModelArguments& arguments,
                       bool verbose = false) {
  // What is compiled for a target that is spelled out does not depend on the CPU that resnetc runs on.
  const bool here = arguments.target == "host";
  const bool cold = are_cold(weight_bytes(graph), here ? usable_cache_bytes() : unknown_cache_bytes);
  return select_kernels(graph, machine, records_of(arguments, verbose), arguments.batch, here ? cpu_name() : "", cold);
}

fs::path cache_folder(const CacheArguments& cache) {
  if (cache.none) return {};
  return cache.folder.empty() ? default_cache() : fs::absolute(cache.folder);
}

void compile(const CompileArguments& arguments) {
  const ModelArguments& given = arguments.model;
  if (given.weights.empty())
    throw Error(
        fmt::format("{}: no weights: give --weights FILE.safetensors, or --weights random:1 to measure size and speed",
                    given.topology.string()));
  std::map<std::string, double> seconds;
  Clock::time_point stage = Clock::now();
  const Machine machine = machine_of(given);
  if (!arguments.fallback.empty() && machine.device == Device::cpu)
    throw Error(fmt::format("--fallback cpu: --target {} is for the CPU already", given.target));
  const Model model = load_model(given.topology, given.weights, given.options);
  seconds["load"] = seconds_since(stage);
  stage = Clock::now();
  const DType storage = parse_weights_storage(given.weights_storage);
  Program program =
      select_kernels(run_passes(model.graph, "", pass_target(machine, storage)), machine, given, arguments.verbose);
  seconds["passes"] = seconds_since(stage);
  if (arguments.verbose) {
    for (const Kernel& kernel : program.kernels)
      print_message("{}: {} ({})\n", to_string(kernel.key), to_string(kernel.choice),
                    kernel.record.empty() ? "default" : kernel.record);
    for (const auto& [record, count] : kernels_by_record(program)) print_message("{} kernels: {}\n", count, record);
  }

  EmitOptions options;
  options.output = arguments.output.empty() ? fs::path("generated") / model.name : arguments.output;
  options.cache = cache_folder(arguments.cache);
  options.target = given.target;
  options.jobs = arguments.jobs > 0 ? arguments.jobs : runtime::default_thread_count();
  options.kinds = {arguments.emit.begin(), arguments.emit.end()};
  options.fallback = !arguments.fallback.empty();
  const Clock::time_point start = Clock::now();
  catch_interrupts();  // not before: loading leaves nothing behind, so the signal itself ends it soonest
  if (const std::optional<double> difference = emit(model, std::move(program), machine, options, seconds))
    print_message("weights as bf16: {} differ from those with f32 by {:.2g} % of the largest (self-test input)\n",
                  model.has_head ? "logits" : "outputs", 100 * *difference);
  print_message("{}: written in {:.1f} s\n", options.output.string(),
                seconds["load"] + seconds["passes"] + seconds_since(start));
}

void tune_nets(const TuneArguments& arguments) {
  TuneOptions options = arguments.options;
  options.budget_s = parse_duration(arguments.budget);
  options.threads = arguments.threads > 0 ? arguments.threads : runtime::default_thread_count();
  if (options.jobs == 0) options.jobs = runtime::default_thread_count();
  options.cache = cache_folder(arguments.cache);
  options.largest_winograd = parse_winograd(arguments.winograd);
  options.weights = parse_weights_storage(arguments.weights_storage);
  catch_interrupts();
  tune(options);
}

void inspect(const InspectArguments& arguments) {
  const ModelArguments& given = arguments.model;
  const Machine machine = machine_of(given);
  const Model model = given.weights.empty() ? read_model(given.topology, given.options)
                                            : load_model(given.topology, given.weights, given.options);
  const DType storage = parse_weights_storage(given.weights_storage);
  const Inspection inspection = inspect(
      model, select_kernels(run_passes(model.graph, "", pass_target(machine, storage)), machine, given), machine);
  std::vector<InspectedGraph> graphs;
  for (const std::string& pass : arguments.after)
    graphs.push_back(graph_after(model, pass, pass_target(machine, storage)));
  const std::string text = arguments.format == "svg"    ? inspect_svg(inspection, graphs)
                           : arguments.format == "json" ? inspect_json(inspection, graphs[0])
                           : arguments.format == "dot"  ? draw_dot(graphs[0].graph)
                                                        : inspect_text(inspection, graphs[0]);
  if (!arguments.output.empty()) return replace_file(arguments.output, text);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// What changes the shapes of a net. size is parsed afterwards.
void add_shape_options(CLI::App& app, ModelOptions& to, std::string& size) {
  app.add_option("--classes", to.classes, "Replace the number of classes")->check(CLI::Range(1, 65536));
  app.add_flag("--no-head", to.no_head, "Leave out the head: the last feature map is the output");
  app.add_option("--size", size, "Replace the input's size, HxW");
}

void add_cache_options(CLI::App& app, CacheArguments& to) {
  app.add_option("--cache", to.folder, "Folder of compiled kernels (default $XDG_CACHE_HOME/resnetc)");
  app.add_flag("--no-cache", to.none, "Compile every kernel anew");
}

void add_winograd_option(CLI::App& app, std::string& to) {
  app.add_option(
         "--winograd", to,
         "The largest Winograd tile that 3x3 convolutions may use, off for none: fewer multiplications, a larger "
         "rounding error")
      ->capture_default_str()
      ->check(CLI::IsMember({"off", "f2", "f4", "f5", "f6"}));
}

void add_weights_storage_option(CLI::App& app, std::string& to) {
  app.add_option("--weights-storage", to,
                 "bf16 halves the weights of convolutions and dense layers, rounded; sums stay float32")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
}

void add_model_options(CLI::App& app, ModelArguments& to) {
  app.add_option("MODEL.json", to.topology, "The topology file")->required();
  app.add_option("-w,--weights", to.weights, "FILE.safetensors, or random:SEED");
  app.add_option("-t,--target", to.target,
                 "host, or a Halide target such as x86-64-linux-avx2-fma; host-opencl or host-cuda for a GPU")
      ->capture_default_str();
  add_shape_options(app, to.options, to.size);
  app.add_flag("--ignore-extra", to.options.ignore_extra, "Only warn of tensors that the topology does not use");
  add_winograd_option(app, to.winograd);
  add_weights_storage_option(app, to.weights_storage);
  app.add_option("--threads", to.threads, "Choose schedules for so many threads (default: this machine's)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--batch", to.batch, "Choose schedules for so many images at once (default 1)")
      ->check(CLI::Range(1, 65536));
  app.add_option("--db", to.records, "A file of records of resnetc tune, before the user's own and the shipped ones");
}

// A check for an option, from a function that throws Error.
template <class Parse>
auto as_check(Parse&& parse) {
  return [parse](const std::string& text) -> std::string {
    try {
      parse(text);
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  };
}

// What is wrong with the command line, and where to read how it is right.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const std::vector<CLI::App*> given = app.get_subcommands();
  if (!given.empty()) return fmt::format("{}\nTry resnetc {} --help", error.what(), given[0]->get_name());
  if (argc < 2 || argv[1][0] == '-') return fmt::format("{}\nTry resnetc --help", error.what());
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands({})) known.push_back(command->get_name());
  return fmt::format("there is no command '{}'; there are {}\nTry resnetc --help", argv[1], fmt::join(known, ", "));
}

int run(int argc, char** argv) {
  if (const std::optional<int> status = run_worker(argc, argv)) return *status;

  CLI::App app{
      "resnetc compiles a ResNet, topology in JSON and trained weights, to a program and a library of its own."};
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  CompileArguments to_compile;
  CLI::App* compile_app = app.add_subcommand("compile", "Compile a model to an executable, a library and a header");
  add_model_options(*compile_app, to_compile.model);
  compile_app->add_option("-o,--output", to_compile.output, "The folder to write to (default generated/NAME)");
  compile_app
      ->add_option("--emit", to_compile.emit, "Of exe,static,shared,header,ir,driver (default exe,static,header,ir)")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(emit_kinds), std::end(emit_kinds))));
  compile_app->add_option("--labels", to_compile.model.options.labels, "A file with one label a line");
  add_cache_options(*compile_app, to_compile.cache);
  compile_app->add_option("-j,--jobs", to_compile.jobs, "Processes at once (default: the CPUs usable)")
      ->check(CLI::Range(1, 1024));
  compile_app
      ->add_option(
          "--fallback", to_compile.fallback,
          "cpu: a program for a GPU can run on the CPU too, where no GPU can be used and --fallback cpu is given")
      ->check(CLI::IsMember({"cpu"}));
  compile_app->add_flag("-v,--verbose", to_compile.verbose, "Say which kernels were chosen");

  InspectArguments to_inspect;
  CLI::App* inspect_app = app.add_subcommand("inspect", "Print or draw a model: its graph, kernels and memory");
  add_model_options(*inspect_app, to_inspect.model);
  inspect_app
      ->add_option("--after", to_inspect.after,
                   "The pass after which to show the graph (default: the last; several side by side for svg)")
      ->delimiter(',')
      ->check(CLI::IsMember(inspectable_passes()));
  inspect_app->add_option("--format", to_inspect.format, "text, dot, svg or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "dot", "svg", "json"}));
  inspect_app->add_option("-o,--output", to_inspect.output, "The file to write to (default: standard output)");

  TuneArguments to_tune;
  TuneOptions& tune_options = to_tune.options;
  CLI::App* tune_app = app.add_subcommand("tune", "Find the fastest schedule of each kernel on this machine");
  tune_app->add_option("MODEL.json", tune_options.topologies, "The topology files")->required();
  tune_app
      ->add_option("-t,--target", tune_options.target,
                   "host, or a Halide target that this CPU runs; host-opencl or host-cuda for a GPU of this machine")
      ->capture_default_str();
  tune_app->add_option("--device", tune_options.device, "Which GPU, as programs for it list them (default 0)")
      ->check(CLI::Range(0, 1023));
  tune_app->add_option("--budget", to_tune.budget, "Time to spend: 90s, 10m or 2h")
      ->capture_default_str()
      ->check(as_check([](const std::string& text) { parse_duration(text); }));
  tune_app->add_option("--threads", to_tune.threads, "Tune for so many threads (default: this machine's)")
      ->check(CLI::Range(1, 4096));
  tune_app->add_option("--batch", tune_options.batch, "Tune for so many images at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  tune_app->add_option("--db", tune_options.records,
                       "The file to add records to (default $XDG_DATA_HOME/resnetc/tuned/CPU-FEATURES.jsonl)");
  tune_app
      ->add_option("--kernels", tune_options.kernels, "Only kernels whose key holds a match of this regular expression")
      ->check(as_check([](const std::string& text) {
        try {
          std::regex{text};
        } catch (const std::regex_error&) {
          throw Error(fmt::format("'{}' is not a regular expression", text));
        }
      }));
  tune_app->add_flag("--baseline", tune_options.baseline,
                     "Time what Halide's own autoschedulers make of the kernels too");
  tune_app->add_option("--report", tune_options.report, "A page on what was tried, HTML");
  add_shape_options(*tune_app, tune_options.model, to_tune.size);
  add_winograd_option(*tune_app, to_tune.winograd);
  add_weights_storage_option(*tune_app, to_tune.weights_storage);
  add_cache_options(*tune_app, to_tune.cache);
  tune_app->add_option("-j,--jobs", tune_options.jobs, "Compilations at once (default: the CPUs usable)")
      ->check(CLI::Range(1, 1024));

  ImportOptions to_import;
  CLI::App* import_app = app.add_subcommand("import", "Turn an ONNX model into a model file and weights");
  import_app->add_option("MODEL.onnx", to_import.model, "The ONNX model")->required();
  import_app->add_option("-o,--output", to_import.output, "The folder to write to")->required();
  import_app->add_option("--preprocess", to_import.preprocess,
                         "How images become inputs: imagenet, or a JSON file with \"preprocess\"");
  import_app->add_option("--labels", to_import.labels, "A file with one label a line");

  CLI::App* version_app = app.add_subcommand("version", "Print the versions of resnetc and Halide");
  CLI::App* targets_app = app.add_subcommand("targets", "Print what this machine is and what can be compiled for");
  bool devices = false;
  targets_app->add_flag("--devices", devices, "Print the GPUs of this machine instead, as --device numbers them");

  try {
    app.parse(argc, argv);
    for (ModelArguments* model : {&to_compile.model, &to_inspect.model})
      if (!model->size.empty()) model->options.size = parse_size(model->size);
    if (!to_tune.size.empty()) tune_options.model.size = parse_size(to_tune.size);
    if (to_inspect.after.size() > 1 && to_inspect.format != "svg")
      throw CLI::ValidationError("--after", "several passes at once are for --format svg");
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    print_message("resnetc: {}\n", usage_problem(app, e, argc, argv));
    return 2;
  }
  if (to_compile.emit.empty()) to_compile.emit = {"exe", "static", "header", "ir"};
  if (to_inspect.after.empty()) to_inspect.after = {inspectable_passes().back()};
  if (*compile_app) compile(to_compile);
  if (*tune_app) tune_nets(to_tune);
  if (*inspect_app) inspect(to_inspect);
  if (*import_app) import_onnx(to_import);
  if (*version_app) fmt::print("{}\n", version_text());
  if (*targets_app) devices ? print_devices() : print_targets();
  return 0;
}

}  // namespace
}  // namespace resnetc

int main(int argc, char** argv) {
  try {
    const int status = resnetc::run(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
    resnetc::print_message("resnetc: cannot write to standard output\n");
  } catch (const resnetc::Error& e) {
    resnetc::print_message("resnetc: {}\n", e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    resnetc::print_message("resnetc: {}: {}\n", e.path1().string(), e.code().message());
  } catch (const std::bad_alloc&) {
    resnetc::print_message("resnetc: out of memory\n");
  } catch (const std::exception& e) {
    resnetc::print_message("resnetc: internal error: {}\n", e.what());
  }
  return 1;
}
