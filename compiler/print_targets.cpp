#include "compiler/print_targets.h"

#include <fmt/format.h>

#include <filesystem>

#include "compiler/files.h"
#include "compiler/process.h"
#include "compiler/tune/device.h"
#include "runtime/program/machine_peak.h"
#include "runtime/thread_count.h"
#include "schedules/machine.h"

namespace resnetc {

void print_targets() {
  const int threads = runtime::default_thread_count();
  const program::MachinePeak peak = program::measure_machine(threads);
  fmt::print("host: {}\n", machine_for("host", threads).target.to_string());
  fmt::print("  {}{}{} CPUs usable; measured: {:.1f} GFLOP/s ({}), {:.1f} GB/s read from memory\n", peak.name,
             peak.name.empty() ? "" : ", ", threads, peak.flops * 1e-9, peak.vectors, peak.bytes * 1e-9);
  const std::string note = program::scatter_note(peak);
  if (!note.empty()) fmt::print("  note: {}\n", note);
  fmt::print(
      "--target takes host or any x86-64-linux target from SSE4.1 up, for a GPU with -opencl or -cuda, such as\n");
  for (const char* features : {"sse41", "avx", "avx2-fma-f16c", "avx512_skylake", "avx512_cannonlake", "avx512_zen4",
                               "avx512_zen5", "avx2-fma-opencl", "avx2-fma-cuda-cuda_capability_86"})
    fmt::print("  x86-64-linux-{}\n", features);
}

void print_devices() {
  catch_interrupts();
  const StagingFolder working(std::filesystem::temp_directory_path() / "resnetc-devices");
  for (const char* target : {"host-opencl", "host-cuda"}) {
    const std::filesystem::path folder = working.path() / target;
    make_folder(folder);
    const Machine machine = machine_for(target, 1);
    fmt::print("{}:\n{}", target, list_devices(make_kernel_device(machine, target, folder), machine));
  }
}

}  // namespace resnetc
