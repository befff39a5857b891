#include "profile_figures.h"

#include <algorithm>
#include <numeric>

#include "../arena.h"
#include "../runtime.h"
#include "cache_size.h"
#include "kernel_label.h"

namespace resnetc::program {

namespace {

double elements(const rn_tensor& tensor) {
  return static_cast<double>(tensor.height) * tensor.width * tensor.channels;
}

double elements(const rn_weight& weight) {
  double product = 1;
  for (int d = 0; d < weight.dimensions; d++) product *= weight.extent[d];
  return product;
}

void add(Work* sum, const Work& work) {
  sum->flop += work.flop;
  sum->executed_flop += work.executed_flop;
  sum->weight_bytes += work.weight_bytes;
  sum->activation_bytes += work.activation_bytes;
}

void finish(Figures* figures, double sum, const Profile& profile) {
  const MachinePeak& machine = profile.machine;
  figures->share = sum > 0 ? figures->seconds / sum : 0;
  if (figures->seconds <= 0 || figures->calls == 0) return;
  figures->of_peak = figures->flops() / machine.flops;
  figures->of_bandwidth = figures->work.bytes() / figures->seconds / machine.bytes;
  Work call = figures->work;
  for (double* part : {&call.flop, &call.executed_flop, &call.weight_bytes, &call.activation_bytes})
    *part /= figures->calls;
  // On a device each step was launched over and over, which leaves its bytes in the cache where they fit.
  const bool in_caches =
      machine.is_device ? call.bytes() <= static_cast<double>(machine.cache_bytes) / 2 : profile.in_caches;
  figures->bound = bound_by(figures->seconds / figures->calls, call, machine, in_caches);
}

void sort_kernels(Profile* profile) {
  std::vector<std::uint32_t> order(profile->kernels.size()), place(order.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return profile->kernels[a].figures.seconds > profile->kernels[b].figures.seconds;
  });
  std::vector<KernelProfile> sorted;
  for (const std::uint32_t k : order) {
    place[k] = static_cast<std::uint32_t>(sorted.size());
    sorted.push_back(std::move(profile->kernels[k]));
  }
  profile->kernels = std::move(sorted);
  for (StepProfile& step : profile->steps) step.kernel = place[step.kernel];
}

std::vector<TensorProfile> tensors_of(const rn_description& net, int batch) {
  const int head_images = rn_images_at_once(&net, 0, batch),
            tail_images = rn_images_at_once(&net, net.tail_step, batch);
  std::vector<TensorProfile> tensors(net.tensor_count);
  for (std::uint32_t t = 0; t < net.tensor_count; t++) {
    const rn_tensor& tensor = net.tensors[t];
    const auto images = static_cast<std::uint64_t>(runtime::is_in_tail(net, tensor) ? tail_images : head_images);
    tensors[t] = {net.step_count,
                  0,
                  runtime::arena_offset(net, tensor, head_images, tail_images),
                  runtime::image_floats(tensor) * sizeof(float) * images,
                  tensor.height,
                  tensor.width,
                  tensor.channels};
  }
  for (std::uint32_t s = 0; s < net.step_count; s++) {
    for (std::uint32_t i = 0; i < net.steps[s].operand_count; i++) {
      const rn_operand& operand = net.steps[s].operands[i];
      if (operand.kind != rn_operand_tensor) continue;
      TensorProfile& tensor = tensors[operand.index];
      tensor.written_by = std::min(tensor.written_by, s);
      tensor.last_read_by = std::max(tensor.last_read_by, s);
    }
  }
  return tensors;
}

// The row whose sum is the median of all.
std::size_t typical_row(const Samples& samples, std::size_t columns) {
  std::vector<std::pair<float, std::size_t>> sums;
  for (std::size_t r = 0; r < samples.rows(); r++) {
    sums.emplace_back(std::accumulate(samples.row(r), samples.row(r) + columns, 0.0F), r);
  }
  const auto middle = sums.begin() + static_cast<std::ptrdiff_t>(sums.size() / 2);
  std::nth_element(sums.begin(), middle, sums.end());
  return middle->second;
}

std::vector<double> time_line_of(const Samples& samples, std::size_t steps) {
  const float* row = samples.row(typical_row(samples, 2 * steps));
  std::vector<double> times;
  double time = 0;
  for (std::size_t s = 0; s < steps; s++) {
    times.push_back(time += row[steps + s]);
    times.push_back(time += row[s]);
  }
  return times;
}

}  // namespace

namespace {

int calls_for(int images, int at_once) {
  return (images + at_once - 1) / at_once;
}

// The head is called anew for the images of each pass through the tail.
int calls_of(const rn_description& net, std::uint32_t step, int batch) {
  const int at_once = rn_images_at_once(&net, step, batch);
  if (!runtime::has_tail(net) || step >= net.tail_step) return calls_for(batch, at_once);
  const int together = rn_images_at_once(&net, net.tail_step, batch);
  return batch / together * calls_for(together, at_once) + calls_for(batch % together, at_once);
}

}  // namespace

Work work_of(const rn_description& net, std::uint32_t step_index, int batch) {
  Work work;
  const rn_step& step = net.steps[step_index];
  const int calls = calls_of(net, step_index, batch);
  work.flop = static_cast<double>(net.kernel_flops[step.kernel_index]) * batch;
  work.executed_flop = static_cast<double>(net.kernel_executed_flops[step.kernel_index]) * batch;
  for (std::uint32_t i = 0; i < step.operand_count; i++) {
    const rn_operand& operand = step.operands[i];
    double image = 0;
    switch (operand.kind) {
      case rn_operand_weight:
        work.weight_bytes += elements(net.weights[operand.index]) * sizeof(float) * calls;
        break;
      case rn_operand_tensor:
        image = elements(net.tensors[operand.index]);
        break;
      case rn_operand_input:
        image = static_cast<double>(net.channels) * net.height * net.width;
        break;
      default:
        image = static_cast<double>(net.output_channels) * net.output_height * net.output_width;
        break;
    }
    work.activation_bytes += image * sizeof(float) * batch;
  }
  return work;
}

const char* bound_by(double seconds, const Work& work, const MachinePeak& machine, bool in_caches) {
  const double compute = work.executed_flop / machine.flops, memory = work.bytes() / machine.bytes;
  const double roof = in_caches ? compute : std::max(compute, memory);
  if (roof < seconds / 2 && machine.hand_over > (seconds - roof) / 2) return "hand-over";
  if (roof < 0.4 * seconds) return in_caches && memory >= 0.4 * seconds ? "caches" : "neither";
  if (in_caches || compute >= memory) return "compute";
  // Bytes that come faster than the memory gives them were in a cache: then the memory's roof says nothing.
  if (memory <= 1.05 * seconds) return "memory";
  return compute >= 0.6 * seconds ? "compute" : "caches";
}

bool is_in_caches(const rn_description& net, int batch, std::size_t cache_bytes) {
  return net.weight_bytes + rn_arena_bytes(&net, batch) <= cache_bytes;
}

Work Profile::work() const {
  Work sum;
  for (const KernelProfile& kernel : kernels) add(&sum, kernel.figures.work);
  return sum;
}

Profile profile_of(const rn_description& net, int threads, int batch, const Samples& steps, const Samples& whole,
                   const MachinePeak& machine) {
  Profile profile{};
  profile.net = &net;
  profile.threads = threads;
  profile.batch = batch;
  profile.runs = whole.added();
  profile.machine = machine;
  profile.seconds = quantile(whole.values({0}), 0.5);
  profile.in_caches = is_in_caches(net, batch, machine.is_device ? machine.cache_bytes : last_level_cache_bytes());
  std::vector<std::vector<std::size_t>> steps_of_kernel(net.kernel_count);
  for (std::uint32_t k = 0; k < net.kernel_count; k++) {
    const char* key = net.kernel_keys[k];
    profile.kernels.push_back({key, net.kernel_choices[k], kernel_kind(key), kernel_label(key), {}});
  }
  for (std::uint32_t s = 0; s < net.step_count; s++) {
    const rn_step& step = net.steps[s];
    StepProfile result{net.step_names[s], step.kernel_index, 0, {}};
    result.border_seconds = quantile(steps.values({net.step_count + s}), 0.5);
    result.figures.calls = 1;
    result.figures.seconds = result.figures.median_seconds = quantile(steps.values({s}), 0.5);
    result.figures.work = work_of(net, s, batch);
    Figures& kernel = profile.kernels[step.kernel_index].figures;
    kernel.calls++;
    kernel.seconds += result.figures.seconds;
    add(&kernel.work, result.figures.work);
    steps_of_kernel[step.kernel_index].push_back(s);
    profile.kernel_seconds += result.figures.seconds;
    profile.border_seconds += result.border_seconds;
    profile.steps.push_back(result);
  }
  for (StepProfile& step : profile.steps) finish(&step.figures, profile.sum(), profile);
  for (std::uint32_t k = 0; k < net.kernel_count; k++) {
    Figures& kernel = profile.kernels[k].figures;
    if (kernel.calls > 0) kernel.median_seconds = quantile(steps.values(steps_of_kernel[k]), 0.5);
    finish(&kernel, profile.sum(), profile);
  }
  sort_kernels(&profile);
  profile.tensors = tensors_of(net, batch);
  profile.time_line = time_line_of(steps, net.step_count);
  if (!profile.time_line.empty()) profile.clocked_seconds = profile.time_line.back();
  return profile;
}

}  // namespace resnetc::program
