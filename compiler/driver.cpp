#include "compiler/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/passes.h"
#include "compiler/toolchain.h"
#include "compiler/version.h"
#include "schedules/compile_kernel.h"

namespace resnetc {
namespace {

// A C string literal. Bytes outside plain ASCII become octal escapes, which end after three digits, unlike \x.
std::string c_string(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '?';
    result += plain ? std::string(1, c) : fmt::format("\\{:03o}", byte);
  }
  return result + '"';
}

// A convolution's input, weight, bias, the epilogue's operands and result.
static_assert(rn_max_operands >= 4 + most_epilogue_operands);

struct OutputShape {
  int channels, height, width;
};

OutputShape output_shape(const TensorType& type) {
  return type.is_image() ? OutputShape{type.channels(), type.height(), type.width()}
                         : OutputShape{type.channels(), 1, 1};
}

const TensorType& input_type(const Program& program) {
  return std::find_if(program.graph.nodes.begin(), program.graph.nodes.end(),
                      [](const Node& n) { return std::holds_alternative<Input>(n.op); })
      ->type;
}

std::string kernel_tables(const Program& program, Device device, bool fallback) {
  std::string text = "/* One kernel for each distinct key; several steps may share one. */\n";
  for (const Kernel& kernel : program.kernels)
    text += fmt::format("extern int {}_argv(void** arguments);\n", kernel_symbol(kernel.key, device));
  if (fallback) {
    text += "\n/* The same for the CPU. */\n";
    std::string table = "\nstatic const rn_kernel fallback_kernels[] = {\n";
    for (const Kernel& kernel : program.kernels) {
      text += fmt::format("extern int {}_argv(void** arguments);\n", to_string(kernel.key));
      table += fmt::format("    {}_argv,\n", to_string(kernel.key));
    }
    text += table + "};\n";
  }
  text += "\nstatic const char* const kernel_keys[] = {\n";
  for (const Kernel& kernel : program.kernels) text += fmt::format("    \"{}\",\n", to_string(kernel.key));
  text += "};\n\nstatic const char* const kernel_choices[] = {\n";
  for (const Kernel& kernel : program.kernels) text += fmt::format("    \"{}\",\n", to_string(kernel.choice));
  text += "};\n\n/* of one image */\nstatic const uint64_t kernel_flops[] = {\n";
  for (const Kernel& kernel : program.kernels) text += fmt::format("    {}u,\n", flop_count(kernel.key));
  text += "};\n\nstatic const uint64_t kernel_executed_flops[] = {\n";
  for (const Kernel& kernel : program.kernels) text += fmt::format("    {}u,\n", kernel.executed_flop);
  return text + "};\n\n";
}

std::string tensor_table(const Program& program, const MemoryPlan& plan) {
  std::string text =
      "/* offset, height, width, channels, border (top, left, bottom, right), is_vector, border_shared */\n"
      "static const rn_tensor tensors[] = {\n";
  for (const MemoryPlan::Slot& slot : plan.slots) {
    const Node& node = program.graph[slot.value];
    const OutputShape s = output_shape(node.type);
    const Sides& b = node.type.border;
    text += fmt::format("    {{{}u, {}, {}, {}, {}, {}, {}, {}, {}, {}}}, /* {} */\n", slot.offset, s.height, s.width,
                        s.channels, b.top, b.left, b.bottom, b.right, node.type.is_image() ? 0 : 1,
                        slot.border_shared ? 1 : 0, node.name);
  }
  return text + "};\n\n";
}

std::string weight_table(const Program& program, const WeightBlob& blob) {
  std::string text = "static const rn_weight weights[] = {\n";
  for (const WeightBlob::Entry& entry : blob.entries) {
    const Value value = program.steps[static_cast<size_t>(entry.step)].operands[entry.operand].value;
    text += fmt::format("    {{{}u, {}, {{{}}}}}, /* {} */\n", entry.offset, entry.extent.size(),
                        fmt::join(entry.extent, ", "), program.graph[value].name);
  }
  if (blob.entries.empty()) text += "    {0, 0, {0}},\n";
  return text + "};\n\n";
}

std::string step_name(const Program& program, const Step& step) {
  return step.value < 0 ? "output" : program.graph[step.value].name;
}

std::string step_table(const Program& program, const MemoryPlan& plan, Device device) {
  std::vector<size_t> tensor_index(program.graph.nodes.size(), 0);
  for (size_t i = 0; i < plan.slots.size(); i++) tensor_index[static_cast<size_t>(plan.slots[i].value)] = i;
  std::string text =
      "/* kernel, its index, operands; the last operand is written */\nstatic const rn_step steps[] = {\n";
  size_t next_weight = 0;
  for (const Step& step : program.steps) {
    std::vector<std::string> operands;
    for (size_t i = 0; i < step.operands.size(); i++) {
      switch (step.operands[i].kind) {
        case ProgramOperand::tensor:
          operands.push_back(
              fmt::format("{{rn_operand_tensor, {}}}", tensor_index[static_cast<size_t>(step.operands[i].value)]));
          break;
        case ProgramOperand::weight:
          operands.push_back(fmt::format("{{rn_operand_weight, {}}}", next_weight++));
          break;
        case ProgramOperand::caller_input:
          operands.emplace_back("{rn_operand_input, 0}");
          break;
        case ProgramOperand::caller_output:
          operands.emplace_back("{rn_operand_output, 0}");
          break;
      }
    }
    text += fmt::format("    {{{}_argv, {}, {}, {{{}}}}}, /* {} */\n",
                        kernel_symbol(program.kernels[static_cast<size_t>(step.kernel)].key, device), step.kernel,
                        operands.size(), fmt::join(operands, ", "), step_name(program, step));
  }
  text += "};\n\nstatic const char* const step_names[] = {\n";
  for (const Step& step : program.steps) text += fmt::format("    {},\n", c_string(step_name(program, step)));
  return text + "};\n\n";
}

std::string preprocess_initialiser(const rn_preprocess& p) {
  return fmt::format("{{{}, {}, {}, {}, {}, {}, {}, {}, {{{}, {}, {}}}, {{{}, {}, {}}}}}", p.resize, p.resize_height,
                     p.resize_width, p.crop_height, p.crop_width, p.interpolation, p.order, p.scale, p.mean[0],
                     p.mean[1], p.mean[2], p.std[0], p.std[1], p.std[2]);
}

}  // namespace

std::string c_prefix(const std::string& model_name) {
  std::string prefix = model_name;
  std::replace(prefix.begin(), prefix.end(), '-', '_');
  return prefix;
}

std::string program_target(const Machine& machine, bool fallback) {
  return (fallback ? full_target(machine) : machine.target).to_string();
}

std::string version_text() {
  return fmt::format("resnetc {}, Halide {}.{}.{}", RESNETC_VERSION, HALIDE_VERSION_MAJOR, HALIDE_VERSION_MINOR,
                     HALIDE_VERSION_PATCH);
}

constexpr const char* header_device = "  int device;         /* as NAME --list-devices numbers them */\n";
constexpr const char* header_fallback =
    "  int fallback;       /* 1: run on the CPU where the device is not there, busy or full; {p}_message says why */\n";

constexpr const char* header_arena =
    "  void* arena;        /* NULL, or 64-byte aligned memory for this model alone that outlives it; threads share "
    "images */\n"
    "  size_t arena_bytes; /* at least {p}_ARENA_BYTES(max_batch) when arena is given */\n";
constexpr const char* header_device_arena =
    "  void* arena;        /* NULL: it is in the device's memory */\n"
    "  size_t arena_bytes; /* 0 */\n";

// A C expression of max_batch.
std::string arena_bytes_text(const DriverInputs& in) {
  const ImagesAtOnce at_once = images_at_once(in.plan, in.machine);
  const auto part = [](uint64_t bytes, int images) {
    return fmt::format("(size_t)((max_batch) < {0} ? (max_batch) : {0}) * (size_t){1}u", images, bytes);
  };
  std::string text = part(in.plan.tail_offset, at_once.head);
  if (in.plan.has_tail()) text += " + " + part(in.plan.arena_bytes - in.plan.tail_offset, at_once.tail);
  return text;
}

std::string emit_header(const DriverInputs& in) {
  const std::string p = c_prefix(in.model.name);
  const TensorType& input = input_type(in.program);
  const OutputShape out = output_shape(in.program.output);
  const std::string output_text =
      in.model.has_head ? fmt::format("n x {} logits, before any softmax", out.channels)
                        : fmt::format("the last feature map, n x {} x {} x {}", out.channels, out.height, out.width);
  return fmt::format(
      R"(/* {name}, compiled by {version} for {target}. */
#ifndef RESNETC_MODEL_{p}_H
#define RESNETC_MODEL_{p}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {p}_CHANNELS {c}
#define {p}_HEIGHT {h}
#define {p}_WIDTH {w}
#define {p}_CLASSES {classes} /* floats of output for each image */
#define {p}_ARENA_BYTES(max_batch) ({arena_bytes})

typedef struct {p}_model {p}_model;

typedef struct {p}_options {{
  int threads;        /* 0: as many as the affinity mask and the cgroup's CPU quota allow; 1: the caller's thread only */
  int max_batch;      /* images that may run at once; 0: 1. As many as threads: each takes its own, with more memory */
{arena}{device}{fallback}}} {p}_options;

/* All functions return 0, or an error code whose text {p}_message gives. Models are independent of each other; one
   model serves one caller at a time.
   Sets *out also on failure, to a model good only for {p}_message and {p}_destroy; to NULL when out of memory.
   options may be NULL. */
int {p}_create({p}_model** out, const {p}_options* options);

/* input: n x {c} x {h} x {w} float32, normalised. output: {output_text}.
   Any n; runs in chunks of max_batch or fewer. Allocates nothing. */
int {p}_run({p}_model* model, const float* input_nchw, int n, float* output);

/* rgb: height rows of width 8-bit RGB pixels, row_bytes apart; resized, cropped and normalised as the model needs it. */
int {p}_run_image({p}_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output);

/* The last error of this model, "" if none; valid until the next call on it. */
const char* {p}_message(const {p}_model* model);
void {p}_destroy({p}_model* model);

/* The label of a class, or NULL if there is none. */
const char* {p}_label(int index);

#ifdef __cplusplus
}}
#endif
#endif
)",
      fmt::arg("name", in.model.name), fmt::arg("version", version_text()),
      fmt::arg("target", program_target(in.machine, in.fallback)), fmt::arg("p", p), fmt::arg("c", input.channels()),
      fmt::arg("h", input.height()), fmt::arg("w", input.width()),
      fmt::arg("classes", int64_t{out.channels} * out.height * out.width),
      fmt::arg("arena",
               in.machine.device == Device::cpu ? fmt::format(header_arena, fmt::arg("p", p)) : header_device_arena),
      fmt::arg("device", in.machine.device == Device::cpu ? "" : header_device),
      fmt::arg("fallback", in.fallback ? fmt::format(header_fallback, fmt::arg("p", p)) : ""),
      fmt::arg("arena_bytes", arena_bytes_text(in)), fmt::arg("output_text", output_text));
}

std::string emit_driver(const DriverInputs& in) {
  const bool on_device = in.machine.device != Device::cpu;
  const std::string p = c_prefix(in.model.name);
  const TensorType& input = input_type(in.program);
  const OutputShape out = output_shape(in.program.output);
  const ImagesAtOnce at_once = images_at_once(in.plan, in.machine);
  std::string text = fmt::format(
      "/* The driver of {}, by {}: tables that the runtime interprets. */\n#include \"{}.h\"\n#include "
      "\"runtime.h\"\n{}\n",
      in.model.name, version_text(), in.model.name, on_device ? "#include \"device.h\"\n" : "");
  text += kernel_tables(in.program, in.machine.device, in.fallback) + tensor_table(in.program, in.plan) +
          weight_table(in.program, in.blob) + step_table(in.program, in.plan, in.machine.device);
  if (!in.model.labels.empty()) {
    text += "static const char* const labels[] = {\n";
    for (const std::string& label : in.model.labels) text += fmt::format("    {},\n", c_string(label));
    text += "};\n\n";
  }
  text += fmt::format(
      R"(extern const unsigned char {p}_weights[];

const rn_description resnetc_description = {{
    .name = {name},
    .target = {target},
    .version = {version},
    .cpu_features = {features}u,
    .channels = {c},
    .height = {h},
    .width = {w},
    .output_channels = {oc},
    .output_height = {oh},
    .output_width = {ow},
    .has_head = {has_head},
    .labels = {labels},
    .has_preprocess = {has_preprocess},
    .preprocess = {preprocess},
    .weight_blob = {p}_weights,
    .weight_bytes = {weight_bytes}u,
{weights_bf16}    .tensors = tensors,
    .tensor_count = {tensors}u,
    .weights = weights,
    .weight_count = {weights}u,
    .steps = steps,
    .step_count = {steps}u,
    .step_names = step_names,
    .kernel_keys = kernel_keys,
    .kernel_choices = kernel_choices,
    .kernel_flops = kernel_flops,
    .kernel_executed_flops = kernel_executed_flops,
    .kernel_count = {kernels}u,
    .head = {{{head_bytes}u, {head_images}}},
{tail}    .tail_step = {tail_step}u,
    .scratch_bytes = {scratch}u,
    .parameters = {parameters}u,
    .macs = {macs}u,
    .self_test_seed = {seed}u,
    .self_test_logits = (const float*)(const void*)({p}_weights + {self_test_offset}u),
    .self_test_bound = 1e-4,
{device}{fallback}}};

int {p}_create({p}_model** out, const {p}_options* options) {{
  rn_options copy = {{0, 0, NULL, 0{no_device}}};
  if (options) copy = (rn_options){{options->threads, options->max_batch, options->arena, options->arena_bytes{own_device}}};
  return rn_create((rn_model**)out, &resnetc_description, &copy);
}}

int {p}_run({p}_model* model, const float* input_nchw, int n, float* output) {{
  return rn_run((rn_model*)model, input_nchw, n, output);
}}

int {p}_run_image({p}_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output) {{
  return rn_run_image((rn_model*)model, rgb, width, height, row_bytes, output);
}}

const char* {p}_message(const {p}_model* model) {{ return rn_message((const rn_model*)model); }}
void {p}_destroy({p}_model* model) {{ rn_destroy((rn_model*)model); }}

const char* {p}_label(int index) {{
  return index >= 0 && index < {oc} && resnetc_description.labels ? resnetc_description.labels[index] : NULL;
}}
)",
      fmt::arg("p", p), fmt::arg("no_device", on_device ? ", 0, 0" : ""),
      fmt::arg("own_device", fmt::format("{}{}", on_device ? ", options->device" : "",
                                         in.fallback ? ", options->fallback"
                                         : on_device ? ", 0"
                                                     : "")),
      fmt::arg("device", on_device ? fmt::format("    .device = &{},\n", device_symbol(in.machine.device)) : ""),
      fmt::arg("fallback", in.fallback ? fmt::format("    .fallback_kernels = fallback_kernels,\n"
                                                     "    .fallback_cpu_features = {}u,\n",
                                                     cpu_feature_bits(in.machine.cpu))
                                       : ""),
      fmt::arg("name", c_string(in.model.name)), fmt::arg("target", c_string(program_target(in.machine, in.fallback))),
      fmt::arg("version", c_string(version_text())), fmt::arg("features", cpu_feature_bits(in.machine.target)),
      fmt::arg("c", input.channels()), fmt::arg("h", input.height()), fmt::arg("w", input.width()),
      fmt::arg("oc", out.channels), fmt::arg("oh", out.height), fmt::arg("ow", out.width),
      fmt::arg("has_head", in.model.has_head ? 1 : 0), fmt::arg("labels", in.model.labels.empty() ? "NULL" : "labels"),
      fmt::arg("has_preprocess", in.model.preprocess ? 1 : 0),
      fmt::arg("preprocess", preprocess_initialiser(in.model.preprocess.value_or(rn_preprocess{}))),
      fmt::arg("weight_bytes", in.blob.self_test_offset),
      fmt::arg("weights_bf16", weights_storage(in.program.graph) == DType::bf16 ? "    .weights_bf16 = 1,\n" : ""),
      fmt::arg("tensors", in.plan.slots.size()), fmt::arg("weights", in.blob.entries.size()),
      fmt::arg("steps", in.program.steps.size()), fmt::arg("kernels", in.program.kernels.size()),
      fmt::arg("head_bytes", in.plan.tail_offset), fmt::arg("head_images", at_once.head),
      fmt::arg("tail", in.plan.has_tail() ? fmt::format("    .tail = {{{}u, {}}},\n",
                                                        in.plan.arena_bytes - in.plan.tail_offset, at_once.tail)
                                          : ""),
      fmt::arg("tail_step", in.plan.tail_step), fmt::arg("scratch", in.scratch_bytes),
      fmt::arg("parameters", parameter_count(in.model.graph)), fmt::arg("macs", mac_count(in.model.graph)),
      fmt::arg("seed", in.self_test_seed), fmt::arg("self_test_offset", in.blob.self_test_offset));
  return text;
}

std::string weights_symbol(const std::string& prefix) {
  return prefix + "_weights";
}

}  // namespace resnetc
