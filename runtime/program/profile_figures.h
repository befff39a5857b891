// The maths of --profile: from the times of many runs to what each step and each kernel reaches and what bounds it.
#ifndef RESNETC_RUNTIME_PROGRAM_PROFILE_FIGURES_H
#define RESNETC_RUNTIME_PROGRAM_PROFILE_FIGURES_H

#include <string>
#include <vector>

#include "../description.h"
#include "machine_peak.h"
#include "samples.h"

namespace resnetc::program {

// What a step computes and moves for a whole batch, in as many calls as rn_run makes. flop: two operations for each
// multiply-accumulate; executed_flop: what its strategy does in fact, which is less where Winograd saves
// multiplications. Every weight and activation is read or written once, without borders.
struct Work {
  double flop = 0, executed_flop = 0, weight_bytes = 0, activation_bytes = 0;
  double bytes() const { return weight_bytes + activation_bytes; }
};

Work work_of(const rn_description& net, std::uint32_t step, int batch);

// Whether weights and activations fit into a last-level cache together, so that one inference leaves them to the next.
bool is_in_caches(const rn_description& net, int batch, std::size_t cache_bytes);

// What a step, or all calls of a kernel in one inference, reach.
struct Figures {
  int calls = 0;
  double seconds = 0;         // of all calls: the sum of the medians of the steps
  double median_seconds = 0;  // of one call
  double share = 0;           // of the sum of all steps and borders, 0 to 1
  Work work;                  // of all calls
  double of_peak = 0;         // flops() of the machine's operations a second; 1 is all
  double of_bandwidth = 0;    // of the machine's memory bandwidth; above 1 where the bytes come from caches
  const char* bound = "";     // bound_by
  double flops() const { return seconds > 0 ? work.executed_flop / seconds : 0; }
  double effective_flops() const { return seconds > 0 ? work.flop / seconds : 0; }
  double intensity() const { return work.bytes() > 0 ? work.executed_flop / work.bytes() : 0; }  // operations a byte
};

// What one call of `seconds` waits for: "compute" or "memory", the nearer of the two roofs; "caches" where it moves
// bytes faster than the memory could, far from the peak; "hand-over" where most of the time beyond the roofs is that of
// a parallel loop without work; "neither" below 40 % of both roofs. in_caches: all that the net reads and writes fits
// into them, so that nothing comes from memory.
const char* bound_by(double seconds, const Work& work, const MachinePeak& machine, bool in_caches);

struct StepProfile {
  const char* name;
  std::uint32_t kernel;       // into kernels
  double border_seconds = 0;  // zeroing the border of its result; not in figures
  Figures figures;
};

struct KernelProfile {
  const char *key, *choice;
  std::string kind, label;
  Figures figures;
};

// A tensor in the arena, for the images that go through the net together.
struct TensorProfile {
  std::uint32_t written_by, last_read_by;  // steps
  std::uint64_t offset = 0, bytes = 0;
  int height = 0, width = 0, channels = 0;
};

struct Profile {
  const rn_description* net;
  int threads, batch;
  std::size_t runs;
  MachinePeak machine;
  double seconds = 0;           // of an inference without clocks between its steps; the median
  double clocked_seconds = 0;   // with them; on a device the sum of the steps in the round whose sum is the median
  double together_seconds = 0;  // on a device: all kernels in turn, without moving input and output
  double kernel_seconds = 0, border_seconds = 0;
  std::vector<KernelProfile> kernels;  // the longest first
  std::vector<StepProfile> steps;
  std::vector<TensorProfile> tensors;
  std::vector<double> time_line;     // start and end of each step in the inference whose time is the median, seconds
  std::uint32_t parallel_loops = 0;  // of an inference
  bool in_caches = false;            // is_in_caches, on this machine
  double sum() const { return kernel_seconds + border_seconds; }
  Work work() const;
  // What bringing the threads together takes of an inference, were each loop the only thing that they do.
  double hand_over_seconds() const { return machine.hand_over * parallel_loops; }
  // That what the net reaches as a whole is counted by.
  double computing_seconds() const { return machine.is_device ? together_seconds : seconds; }
};

// steps: the sums of rn_profile, a row for each run, or what stands for them on a device; whole: the seconds of runs
// without it. At least one of each.
Profile profile_of(const rn_description& net, int threads, int batch, const Samples& steps, const Samples& whole,
                   const MachinePeak& machine);

}  // namespace resnetc::program

#endif
