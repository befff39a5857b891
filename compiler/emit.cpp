#include "compiler/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <nlohmann/json.hpp>

#include "compiler/clock.h"
#include "compiler/driver.h"
#include "compiler/files.h"
#include "compiler/passes.h"
#include "compiler/process.h"
#include "compiler/progress.h"
#include "compiler/toolchain.h"
#include "ir/reference.h"
#include "ir/text.h"
#include "runtime/runtime.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t self_test_seed = 1;
constexpr const char* device_runtime_file = "device_runtime.o";

struct KernelObject {
  std::string file;
  uint64_t scratch_bytes = 0;
  bool from_cache = false;
  double seconds = 0;
};

std::vector<KernelObject> compile_kernels(const Program& program, const Machine& machine, const EmitOptions& options,
                                          const fs::path& folder) {
  const Clock::time_point start = Clock::now();
  const double kernel_limit_s = std::clamp(options.limit_s, 1.0, 300.0);
  std::vector<Command> commands;
  std::vector<KernelObject> objects;
  for (size_t i = 0; i < program.kernels.size(); i++) {
    const Kernel& kernel = program.kernels[i];
    objects.push_back({fmt::format("kernel{}.o", i), 0, false, 0});
    commands.push_back(kernel_command(kernel.key, kernel.choice, options.target, machine.threads, folder,
                                      objects.back().file, options.cache));
    commands.back().time_limit_s = kernel_limit_s;
  }
  if (options.fallback) {
    const Machine cpu = host_of(machine);
    for (size_t i = 0; i < program.kernels.size(); i++) {
      const KernelKey& key = program.kernels[i].key;
      objects.push_back({fmt::format("fallback{}.o", i), 0, false, 0});
      commands.push_back(kernel_command(key, fallback_choice(key, cpu), cpu.target.to_string(), cpu.threads, folder,
                                        objects.back().file, options.cache));
      commands.back().time_limit_s = kernel_limit_s;
    }
  }
  if (machine.device != Device::cpu)
    commands.push_back({{own_path().string(), compile_runtime_command, options.target, device_runtime_file}, folder});
  Progress progress("compiling kernels", commands.size());
  run_commands(commands, options.jobs, [&](size_t i, const CommandResult& result) {
    if (seconds_since(start) > options.limit_s)
      throw Error(fmt::format("no time left: its kernels were not compiled in {:.1f} s", options.limit_s));
    if (i == objects.size()) {
      if (result.status != 0) throw Error(describe_failure(commands[i], result));
      return progress.advance();
    }
    if (result.status != 0)
      throw Error(fmt::format("kernel {}: {}", to_string(program.kernels[i % program.kernels.size()].key),
                              describe_failure(commands[i], result)));
    const Json answer = Json::parse(result.output);
    objects[i].scratch_bytes = answer.at("scratch_bytes");
    objects[i].from_cache = answer.at("from_cache");
    objects[i].seconds = result.seconds;
    progress.advance();
  });
  return objects;
}

// The reference evaluator's.
std::vector<float> self_test_outputs(const Graph& graph, int threads) {
  const TensorType& type = std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) {
                             return std::holds_alternative<Input>(n.op);
                           })->type;
  std::vector<float> planar(static_cast<size_t>(element_count(type)));
  rn_self_test_input(self_test_seed, planar.data(), planar.size());
  Tensor input{{1, type.height(), type.width(), type.channels()}, std::vector<float>(planar.size())};
  const size_t channels = static_cast<size_t>(type.channels()), pixels = planar.size() / channels;
  for (size_t c = 0; c < channels; c++)
    for (size_t p = 0; p < pixels; p++) input.values[p * channels + c] = planar[c * pixels + p];
  Tensor output = evaluate(graph, input, threads, check_interrupted).front();
  if (output.dims.size() == 4) output = evaluate_op(Output{}, {&output});
  for (float v : output.values)
    if (!std::isfinite(v))
      throw Error(fmt::format("{}: the net's outputs overflow float32 on a random input; are these the right weights?",
                              graph.name));
  return output.values;
}

double relative_difference(const std::vector<float>& got, const std::vector<float>& wanted) {
  double largest = 0, difference = 0;
  for (size_t i = 0; i < wanted.size(); i++) {
    largest = std::max(largest, std::abs(double{wanted[i]}));
    difference = std::max(difference, std::abs(double{got[i]} - wanted[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

// From where on more images go through the net together; null: nowhere.
Json tail_report(const Program& program, const MemoryPlan& plan, const ImagesAtOnce& at_once) {
  if (!plan.has_tail()) return nullptr;
  const Value first = program.steps[static_cast<size_t>(plan.tail_step)].value;
  return {{"first_step", plan.tail_step},
          {"node", first < 0 ? "output" : program.graph[first].name},
          {"images_at_once", at_once.tail},
          {"arena_bytes", plan.arena_bytes - plan.tail_offset}};
}

Json kernel_report(const Program& program, const std::vector<KernelObject>& objects, const WeightBlob& blob) {
  std::vector<uint64_t> weight_bytes(program.kernels.size(), 0);
  std::vector<int> calls(program.kernels.size(), 0);
  for (const Step& step : program.steps) calls[static_cast<size_t>(step.kernel)]++;
  for (const WeightBlob::Entry& entry : blob.entries) {
    uint64_t bytes = sizeof(float);
    for (int e : entry.extent) bytes *= static_cast<uint64_t>(e);
    weight_bytes[static_cast<size_t>(program.steps[static_cast<size_t>(entry.step)].kernel)] += bytes;
  }
  Json list = Json::array();
  for (size_t i = 0; i < program.kernels.size(); i++) {
    const Kernel& kernel = program.kernels[i];
    Json parameters = Json::object();
    for (const auto& [name, value] : kernel.choice.parameters) parameters[name] = value;
    list.push_back({{"key", to_string(kernel.key)},
                    {"calls", calls[i]},
                    {"strategy", kernel.choice.strategy},
                    {"parameters", parameters},
                    {"record", kernel.record.empty() ? Json(nullptr) : Json(kernel.record)},
                    {"flop", flop_count(kernel.key)},
                    {"executed_flop", kernel.executed_flop},
                    {"weight_bytes", weight_bytes[i]},
                    {"compile_seconds", objects[i].seconds},
                    {"from_cache", objects[i].from_cache}});
  }
  return list;
}

}  // namespace

Command kernel_command(const KernelKey& key, const Choice& choice, const std::string& target, int threads,
                       const fs::path& folder, const std::string& object, const fs::path& cache) {
  return {{own_path().string(), compile_kernel_command, to_string(key), to_string(choice), target,
           std::to_string(threads), object, cache.string()},
          folder};
}

std::optional<double> emit(const Model& model, Program program, const Machine& machine, const EmitOptions& options,
                           std::map<std::string, double> seconds) {
  const Clock::time_point start = Clock::now();
  StagingFolder staging(options.output);
  const fs::path& folder = staging.path();
  const auto wanted = [&](const char* kind) { return options.kinds.contains(kind); };

  // Of the graph as it was written, before any pass; but rounded weights make another net, which is the one to compare
  // kernels with.
  const DType storage = weights_storage(program.graph);
  std::optional<double> difference;
  std::future<std::vector<float>> expected = std::async(std::launch::async, [&] {
    std::vector<float> as_written = self_test_outputs(model.graph, options.jobs);
    if (storage == DType::f32) return as_written;
    std::vector<float> rounded = self_test_outputs(program.graph, options.jobs);
    difference = relative_difference(rounded, as_written);
    return rounded;
  });
  // The weights are packed while the kernels compile: what one of them leaves idle the other one uses.
  std::future<WeightBlob> written =
      std::async(std::launch::async, write_weight_blob, std::cref(program), std::cref(machine), std::move(expected),
                 options.jobs, folder / "weights.o", weights_symbol(c_prefix(model.name)));
  const std::vector<KernelObject> objects = compile_kernels(program, machine, options, folder);
  uint64_t scratch_bytes = 0;
  for (const KernelObject& object : objects) scratch_bytes = std::max(scratch_bytes, object.scratch_bytes);
  seconds["kernels"] = seconds_since(start);

  Clock::time_point stage = Clock::now();
  const WeightBlob blob = written.get();
  const MemoryPlan plan = plan_memory(program, machine);
  const DriverInputs inputs{model, program, plan, blob, machine, options.fallback, scratch_bytes, self_test_seed};
  Toolchain tools{folder, model.name, c_prefix(model.name), {}};
  for (const KernelObject& object : objects) tools.kernels.push_back(object.file);
  if (machine.device != Device::cpu) {
    tools.device_runtime = device_runtime_file;
    tools.device_archive = device_archive_of(machine.device);
  }
  write_file(folder / (model.name + ".h"), emit_header(inputs));
  write_file(folder / "driver.c", emit_driver(inputs));
  write_file(folder / "exports.map", fmt::format("{{ global: {}_*; local: *; }};\n", tools.prefix));
  seconds["weights"] = seconds_since(stage);

  stage = Clock::now();
  const bool library = wanted("static") || wanted("shared");
  std::future<void> ir = std::async(std::launch::async, [&] {
    if (!wanted("ir")) return;
    digest_weights(program.graph);
    write_file(folder / (model.name + ".ir"), print(program.graph) + print_memory_plan(program, plan));
  });
  // Each row may run at once.
  const std::vector<std::vector<Command>> rows = [&] {
    std::vector<std::vector<Command>> result(4);
    if (wanted("exe") || library) result[0] = {tools.compile_driver()};
    if (!tools.device_runtime.empty()) result[0].push_back(tools.adapt_device_runtime());
    if (library) {
      result[1].push_back(tools.join_code());
      result[2].push_back(tools.localise_symbols());
    }
    if (wanted("exe")) result[3].push_back(tools.link_executable());
    if (wanted("static")) result[3].push_back(tools.archive());
    if (wanted("shared")) result[3].push_back(tools.link_shared());
    return result;
  }();
  for (const std::vector<Command>& row : rows)
    run_commands(row, options.jobs, [&](size_t i, const CommandResult& result) {
      if (result.status != 0) throw Error(describe_failure(row[i], result));
    });
  ir.get();
  seconds["link"] = seconds_since(stage);

  std::vector<std::string> files;
  if (wanted("driver")) fs::rename(folder / "driver.c", folder / (model.name + ".c"));
  const std::pair<const char*, std::string> names[] = {{"exe", model.name},
                                                       {"static", "lib" + model.name + ".a"},
                                                       {"shared", "lib" + model.name + ".so"},
                                                       {"header", model.name + ".h"},
                                                       {"ir", model.name + ".ir"},
                                                       {"driver", model.name + ".c"}};
  for (const auto& [kind, name] : names)
    if (wanted(kind)) files.push_back(name);
  std::vector<std::future<std::string>> digests;
  for (const std::string& file : files)
    digests.push_back(std::async(std::launch::async, sha256_of_file, folder / file));
  Json file_list = Json::object();
  for (size_t i = 0; i < files.size(); i++)
    file_list[files[i]] = {{"bytes", fs::file_size(folder / files[i])}, {"sha256", digests[i].get()}};

  seconds["total"] = 0;
  for (const auto& [name, value] : std::map<std::string, double>(seconds))
    seconds["total"] += name == "total" ? 0 : value;
  const ImagesAtOnce at_once = images_at_once(plan, machine);
  Json report = {{"model", model.name},
                 {"target", program_target(machine, options.fallback)},
                 {"versions", version_text()},
                 {"threads", machine.threads},
                 {"winograd", winograd_name(machine.largest_winograd)},
                 {"parameters", parameter_count(model.graph)},
                 {"macs", mac_count(model.graph)},
                 {"records", kernels_by_record(program)},
                 {"kernels", kernel_report(program, objects, blob)},
                 {"arena_bytes", plan.arena_bytes},
                 {"images_at_once", at_once.head},
                 {"tail", tail_report(program, plan, at_once)},
                 {"largest_live_bytes", plan.largest_live_bytes},
                 {"scratch_bytes_per_thread", scratch_bytes},
                 {"weight_bytes", blob.self_test_offset},
                 {"weights_storage", to_string(storage)},
                 {"seconds", seconds},
                 {"files", file_list}};
  if (difference) report["weights_difference"] = *difference;
  write_file(folder / "report.json", report.dump(2) + "\n");
  files.emplace_back("report.json");
  staging.publish(files);
  return difference;
}

}  // namespace resnetc
