// What this machine can do at most, measured on the spot: its CPU with threads of the runtime's own pool, or a device.
#ifndef RESNETC_RUNTIME_PROGRAM_MACHINE_PEAK_H
#define RESNETC_RUNTIME_PROGRAM_MACHINE_PEAK_H

#include <cstdint>
#include <optional>
#include <string>

#include "model.h"

namespace resnetc::program {

// The best of several readings: another program can only make one worse.
struct MachinePeak {
  std::string name;     // of the CPU or the device, "" where it has none
  const char* vectors;  // what the peak was reached with
  double flops;         // float32 operations a second of all threads: multiply-adds in registers and nothing else
  double bytes;         // a second that all threads read from a buffer larger than the last-level cache; on a device
                        // that a copy reads and writes
  double hand_over;     // seconds of a parallel loop whose tasks only wait until all threads have come; a device: 0
  int readings = 1;
  double least_flops = 0, least_bytes = 0;  // of all readings
  bool is_device = false;
  std::uint64_t cache_bytes = 0;  // of the device's last level
};

// One reading of a device.
MachinePeak machine_peak_of(const rn_device_peak& device);

// Of the readings of both.
MachinePeak together(const MachinePeak& a, const MachinePeak& b);

// What to say where readings of the peak lie more than a tenth apart, or of the memory a quarter; else "".
std::string scatter_note(const MachinePeak& peak);

// Readings of some 0.1 s each, to be spread over a measurement. Holds up to 512 MB of memory.
class MachineMeter {
 public:
  // features: the peak is that of the widest vectors among these RN_CPU_* bits that this CPU has. Throws Error without
  // memory.
  explicit MachineMeter(int threads, std::uint32_t features = ~std::uint32_t{0});
  ~MachineMeter();
  MachineMeter(const MachineMeter&) = delete;
  MachineMeter& operator=(const MachineMeter&) = delete;

  void read();
  const MachinePeak& peak() const { return *peak_; }  // after the first reading

 private:
  Model model_;
  std::uint32_t features_;
  std::uint8_t* buffer_ = nullptr;
  std::size_t bytes_ = 0;
  std::optional<MachinePeak> peak_;
};

// Five readings within some 0.7 s. Throws Error.
MachinePeak measure_machine(int threads);

}  // namespace resnetc::program

#endif
