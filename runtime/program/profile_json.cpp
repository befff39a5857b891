#include "../runtime.h"
#include "print.h"
#include "profile_report.h"
#include "results.h"

namespace resnetc::program {

namespace {

std::string field(const char* name, double value) {
  return format(", \"%s\": %.6g", name, value);
}

// Of whole numbers.
std::string count_field(const char* name, double value) {
  return format(", \"%s\": %.0f", name, value);
}

std::string field(const char* name, std::string_view value) {
  return format(", \"%s\": ", name) + json_string(value);
}

std::string figures_json(const Figures& f) {
  return field("ms", f.seconds * 1e3) + field("share", f.share) + field("gflops", f.flops() * 1e-9) +
         field("of_peak", f.of_peak) + field("effective_gflops", f.effective_flops() * 1e-9) +
         count_field("flop", f.work.flop) + count_field("executed_flop", f.work.executed_flop) +
         count_field("bytes", f.work.bytes()) + count_field("weight_bytes", f.work.weight_bytes) +
         field("flop_per_byte", f.intensity()) + field("of_bandwidth", f.of_bandwidth) +
         field("bound_by", std::string_view(f.bound));
}

std::string machine_json(const MachinePeak& machine) {
  return std::string("{\"") + (machine.is_device ? "device" : "cpu") + "\": " + json_string(machine.name) +
         field("vectors", std::string_view(machine.vectors)) + field("peak_gflops", machine.flops * 1e-9) +
         field("memory_gbytes_per_second", machine.bytes * 1e-9) +
         (machine.is_device ? "" : field("hand_over_us", machine.hand_over * 1e6)) +
         format(", \"readings\": %d", machine.readings) + field("least_peak_gflops", machine.least_flops * 1e-9) +
         field("least_memory_gbytes_per_second", machine.least_bytes * 1e-9) + field("note", scatter_note(machine)) +
         "}";
}

// A list of whatever `one` makes of each.
template <class Items, class One>
std::string list(const Items& items, One&& one) {
  std::string text = "[";
  for (const auto& item : items) text += (text.size() > 1 ? ", " : "") + one(item);
  return text + "]";
}

}  // namespace

std::string profile_json(const Profile& p) {
  const Work work = p.work();
  std::string text = "{\"model\": " + json_string(p.net->name) + field("target", std::string_view(p.net->target)) +
                     field("version", std::string_view(p.net->version));
  text += format(", \"threads\": %d, \"batch\": %d, \"runs\": %zu, \"machine\": ", p.threads, p.batch, p.runs) +
          machine_json(p.machine);
  text += field("inference_ms", p.seconds * 1e3) +
          (p.machine.is_device ? field("together_ms", p.together_seconds * 1e3) : "") +
          field("clocked_ms", p.clocked_seconds * 1e3) + field("sum_ms", p.sum() * 1e3) +
          field("kernels_ms", p.kernel_seconds * 1e3) + field("borders_ms", p.border_seconds * 1e3) +
          field("gflops", work.executed_flop / p.computing_seconds() * 1e-9) +
          field("of_peak", work.executed_flop / p.computing_seconds() / p.machine.flops) +
          field("effective_gflops", work.flop / p.computing_seconds() * 1e-9);
  if (!p.machine.is_device)
    text += format(", \"parallel_loops\": %u", p.parallel_loops) + field("hand_over_ms", p.hand_over_seconds() * 1e3);
  text +=
      format(", \"weight_bytes\": %llu, \"arena_bytes\": %llu", static_cast<unsigned long long>(p.net->weight_bytes),
             static_cast<unsigned long long>(rn_arena_bytes(p.net, p.batch)));
  text += ", \"kernels\": " + list(p.kernels, [](const KernelProfile& kernel) {
            return "{\"key\": " + json_string(kernel.key) + field("strategy", std::string_view(kernel.choice)) +
                   field("kind", kernel.kind) + field("label", kernel.label) +
                   format(", \"calls\": %d", kernel.figures.calls) +
                   field("median_us", kernel.figures.median_seconds * 1e6) + figures_json(kernel.figures) + "}";
          });
  text += ", \"steps\": " + list(p.steps, [](const StepProfile& step) {
            return "{\"name\": " + json_string(step.name) + format(", \"kernel\": %u", step.kernel) +
                   field("border_us", step.border_seconds * 1e6) + figures_json(step.figures) + "}";
          });
  text += ", \"tensors\": " + list(p.tensors, [](const TensorProfile& tensor) {
            return format(
                "{\"written_by\": %u, \"last_read_by\": %u, \"offset\": %llu, \"bytes\": %llu, "
                "\"height\": %d, \"width\": %d, \"channels\": %d}",
                tensor.written_by, tensor.last_read_by, static_cast<unsigned long long>(tensor.offset),
                static_cast<unsigned long long>(tensor.bytes), tensor.height, tensor.width, tensor.channels);
          });
  text += ", \"time_line_us\": " + list(p.time_line, [](double seconds) { return format("%.3f", seconds * 1e6); });
  return text + "}\n";
}

}  // namespace resnetc::program
