// resnetc: command line to stages.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "compiler/driver.h"
#include "compiler/emit.h"
#include "compiler/files.h"
#include "compiler/passes.h"
#include "compiler/process.h"
#include "ir/verify.h"
#include "schedules/compile_kernel.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct CompileArguments {
  fs::path topology;
  std::string weights;
  std::string target = "host";
  fs::path output;
  std::vector<std::string> emit;
  std::string size;
  std::string cache;
  bool no_cache = false;
  int threads = 0;
  int jobs = 0;
  bool verbose = false;
  ModelOptions model;
};

int usable_cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                     : static_cast<int>(std::thread::hardware_concurrency());
}

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

Graph run_passes(Graph graph, bool verbose) {
  verify(graph);
  for (const Pass& pass : passes) {
    graph = pass.run(graph);
    try {
      verify(graph);
    } catch (const Error& e) {
      throw std::logic_error(fmt::format("after pass {}: {}", pass.name, e.what()));
    }
    if (verbose) fmt::print(stderr, "{}: {} nodes\n", pass.name, graph.nodes.size());
  }
  return graph;
}

void compile(CompileArguments& arguments) {
  if (arguments.weights.empty())
    throw Error(
        fmt::format("{}: no weights: give --weights FILE.safetensors, or --weights random:1 to measure size and speed",
                    arguments.topology.string()));
  catch_interrupts();
  std::map<std::string, double> seconds;
  Clock::time_point stage = Clock::now();
  const Machine machine = machine_for(arguments.target, arguments.threads > 0 ? arguments.threads : usable_cpus());
  const Model model = load_model(arguments.topology, arguments.weights, arguments.model);
  seconds["load"] = seconds_since(stage);
  stage = Clock::now();
  Program program = select_kernels(run_passes(model.graph, arguments.verbose), machine);
  seconds["passes"] = seconds_since(stage);
  if (arguments.verbose)
    for (const Kernel& kernel : program.kernels)
      fmt::print(stderr, "{}: {}\n", to_string(kernel.key), to_string(kernel.choice));

  EmitOptions options;
  options.output = arguments.output.empty() ? fs::path("generated") / model.name : arguments.output;
  if (!arguments.no_cache) options.cache = arguments.cache.empty() ? default_cache() : fs::absolute(arguments.cache);
  options.target = arguments.target;
  options.jobs = arguments.jobs > 0 ? arguments.jobs : usable_cpus();
  options.kinds = {arguments.emit.begin(), arguments.emit.end()};
  options.verbose = arguments.verbose;
  const Clock::time_point start = Clock::now();
  emit(model, std::move(program), machine, options, seconds);
  fmt::print(stderr, "{}: written in {:.1f} s\n", options.output.string(),
             seconds["load"] + seconds["passes"] + seconds_since(start));
}

// Hidden: one kernel, in a process of its own. A runaway compilation ends at 8 GiB.
int compile_one_kernel(char** argv) {
  const rlimit memory = {uint64_t{8} << 30, uint64_t{8} << 30};
  setrlimit(RLIMIT_AS, &memory);
  const CompiledKernel kernel = compile_kernel(parse_key(argv[0]), parse_choice(argv[1]),
                                               machine_for(argv[2], std::stoi(argv[3])), argv[4], argv[5]);
  fmt::print("{}\n", nlohmann::json{{"scratch_bytes", kernel.scratch_bytes}, {"from_cache", kernel.from_cache}}.dump());
  return 0;
}

void print_targets() {
  const Machine host = machine_for("host", usable_cpus());
  fmt::print("host: {}, {} CPUs usable\n", host.target.to_string(), usable_cpus());
  fmt::print("--target takes host or any x86-64-linux target from SSE4.1 up, such as\n");
  for (const char* target :
       {"x86-64-linux-sse41", "x86-64-linux-avx", "x86-64-linux-avx2-fma-f16c", "x86-64-linux-avx512_skylake",
        "x86-64-linux-avx512_cannonlake", "x86-64-linux-avx512_zen4", "x86-64-linux-avx512_zen5"})
    fmt::print("  {}\n", target);
}

int run(int argc, char** argv) {
  if (argc == 8 && std::string_view(argv[1]) == compile_kernel_command) return compile_one_kernel(argv + 2);

  CLI::App app{
      "resnetc compiles a ResNet, topology in JSON and trained weights, to a program and a library of its own."};
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  CompileArguments arguments;
  CLI::App* compile_app = app.add_subcommand("compile", "Compile a model to an executable, a library and a header");
  compile_app->add_option("MODEL.json", arguments.topology, "The topology file")->required();
  compile_app->add_option("-w,--weights", arguments.weights, "FILE.safetensors, or random:SEED");
  compile_app->add_option("-t,--target", arguments.target, "host, or a Halide target such as x86-64-linux-avx2-fma")
      ->capture_default_str();
  compile_app->add_option("-o,--output", arguments.output, "The folder to write to (default generated/NAME)");
  compile_app
      ->add_option("--emit", arguments.emit, "Of exe,static,shared,header,ir,driver (default exe,static,header,ir)")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(emit_kinds), std::end(emit_kinds))));
  compile_app->add_option("--classes", arguments.model.classes, "Replace the number of classes")
      ->check(CLI::Range(1, 65536));
  compile_app->add_flag("--no-head", arguments.model.no_head, "Leave out the head: the last feature map is the output");
  compile_app->add_option("--size", arguments.size, "Replace the input's size, HxW");
  compile_app->add_option("--labels", arguments.model.labels, "A file with one label a line");
  compile_app->add_flag("--ignore-extra", arguments.model.ignore_extra,
                        "Only warn of tensors that the topology does not use");
  compile_app
      ->add_option("--threads", arguments.threads, "Choose schedules for so many threads (default: this machine's)")
      ->check(CLI::Range(1, 4096));
  compile_app->add_option("--cache", arguments.cache, "Folder of compiled kernels (default $XDG_CACHE_HOME/resnetc)");
  compile_app->add_flag("--no-cache", arguments.no_cache, "Compile every kernel anew");
  compile_app->add_option("-j,--jobs", arguments.jobs, "Processes at once (default: the CPUs usable)")
      ->check(CLI::Range(1, 1024));
  compile_app->add_flag("-v,--verbose", arguments.verbose, "Say what each pass and kernel selection did");
  CLI::App* version_app = app.add_subcommand("version", "Print the versions of resnetc and Halide");
  CLI::App* targets_app = app.add_subcommand("targets", "Print what this machine is and what can be compiled for");

  try {
    app.parse(argc, argv);
    if (!arguments.size.empty()) arguments.model.size = parse_size(arguments.size);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "resnetc: {}\nTry resnetc --help\n", e.what());
    return 2;
  }
  if (arguments.emit.empty()) arguments.emit = {"exe", "static", "header", "ir"};
  if (*compile_app) compile(arguments);
  if (*version_app) fmt::print("{}\n", version_text());
  if (*targets_app) print_targets();
  return 0;
}

}  // namespace
}  // namespace resnetc

int main(int argc, char** argv) {
  try {
    const int status = resnetc::run(argc, argv);
    if (std::fflush(stdout) == 0) return status;
    fmt::print(stderr, "resnetc: cannot write to standard output\n");
  } catch (const resnetc::Error& e) {
    fmt::print(stderr, "resnetc: {}\n", e.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "resnetc: out of memory\n");
  } catch (const std::exception& e) {
    fmt::print(stderr, "resnetc: internal error: {}\n", e.what());
  }
  return 1;
}
