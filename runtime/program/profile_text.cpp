#include "print.h"
#include "profile_report.h"

namespace resnetc::program {

namespace {

// The columns that steps and kernels have in common.
constexpr const char heading[] = "  share  GFLOP/s   peak  effective       MB  FLOP/B  memory  bound by ";

std::string columns(const Figures& figures) {
  return format("%6.2f%% %8.1f %5.1f%% %10.1f %8.3f %7.1f %6.1f%%  %-9s", figures.share * 100, figures.flops() * 1e-9,
                figures.of_peak * 100, figures.effective_flops() * 1e-9, figures.work.bytes() * 1e-6,
                figures.intensity(), figures.of_bandwidth * 100, figures.bound);
}

std::string amount(const char* what, double seconds, double sum, const std::string& note) {
  return format("%-22s %10.3f ms %7.2f%%  ", what, seconds * 1e3, sum > 0 ? seconds / sum * 100 : 0) + note + "\n";
}

std::string summary(const Profile& p) {
  const Work work = p.work();
  const std::string batch = p.batch > 1 ? format("; %.3f ms an image", p.seconds / p.batch * 1e3) : "";
  std::string text = amount("kernels", p.kernel_seconds, p.sum(), format("%zu steps", p.steps.size()));
  if (p.machine.is_device) {
    text += amount("all kernels in turn", p.together_seconds, p.sum(), "without input and output") +
            amount("an inference", p.seconds, p.sum(),
                   format("with input and output, median of %zu%s", p.runs, batch.c_str()));
  } else {
    text += amount("  thread hand-over", p.hand_over_seconds(), p.sum(),
                   format("of it, about: %u parallel loops of %.2f us", p.parallel_loops, p.machine.hand_over * 1e6)) +
            amount("zeroing borders", p.border_seconds, p.sum(), "") +
            amount("sum of the medians", p.sum(), p.sum(), "") +
            amount("a clocked inference", p.clocked_seconds, p.sum(),
                   "more, where single steps are disturbed now and then") +
            amount("an inference", p.seconds, p.sum(), format("median of %zu%s", p.runs, batch.c_str()));
  }
  const double seconds = p.computing_seconds();
  return text + format("%-22s %10.1f GFLOP/s, %.1f%% of the peak; effective %.1f GFLOP/s\n", "",
                       work.executed_flop / seconds * 1e-9, work.executed_flop / seconds / p.machine.flops * 100,
                       work.flop / seconds * 1e-9);
}

// What it runs on, and what that can do.
std::string setting(const Profile& p) {
  const MachinePeak& machine = p.machine;
  std::string text = format("%s, %s\nbatch %d, ", p.net->name, p.net->target, p.batch);
  if (machine.is_device) {
    text += machine.name + format(
                               "\nmeasured here: peak %.1f GFLOP/s (%s), memory %.1f GB/s copied\n"
                               "a step's time: of many launches, one behind the other, by itself; what they read "
                               "stays in the cache where it fits\n",
                               machine.flops * 1e-9, machine.vectors, machine.bytes * 1e-9);
  } else {
    text += format("threads %d%s%s\n", p.threads, machine.name.empty() ? "" : ", ", machine.name.c_str()) +
            format("measured here: peak %.1f GFLOP/s (%s), memory %.1f GB/s, hand-over %.2f us a parallel loop\n",
                   machine.flops * 1e-9, machine.vectors, machine.bytes * 1e-9, machine.hand_over * 1e6);
  }
  const std::string note = scatter_note(machine);
  return note.empty() ? text : text + "note: " + note + "\n";
}

}  // namespace

std::string profile_text(const Profile& p) {
  std::string text = setting(p);
  text += "GFLOP/s: operations executed; effective: those of direct summation, of which Winograd saves some\n\n";
  // On a device borders are zero from the start.
  const bool borders = !p.machine.is_device;
  text += format("%5s %10s ", "step", "us") + heading + (borders ? " border us" : "") + "  kernel  name\n";
  for (std::size_t s = 0; s < p.steps.size(); s++) {
    const StepProfile& step = p.steps[s];
    text += format("%5zu %10.1f ", s, step.figures.seconds * 1e6) + columns(step.figures) +
            (borders ? format(" %9.1f", step.border_seconds * 1e6) : "") +
            format("  %6u  %s\n", step.kernel + 1, step.name);
  }
  text += format("\n%6s %6s %10s %10s ", "kernel", "calls", "us a call", "ms") + heading + "  key, strategy\n";
  for (std::size_t k = 0; k < p.kernels.size(); k++) {
    const KernelProfile& kernel = p.kernels[k];
    text += format("%6zu %6d %10.1f %10.3f ", k + 1, kernel.figures.calls, kernel.figures.median_seconds * 1e6,
                   kernel.figures.seconds * 1e3) +
            columns(kernel.figures) + "  " + kernel.key + ", " + kernel.choice + "\n";
  }
  return text + "\n" + summary(p);
}

}  // namespace resnetc::program
