// The net that is linked into this program: its sizes and a handle that runs it.
#ifndef RESNETC_RUNTIME_PROGRAM_MODEL_H
#define RESNETC_RUNTIME_PROGRAM_MODEL_H

#include <cstdint>
#include <string>
#include <vector>

#include "../device.h"
#include "../runtime.h"
#include "error.h"
#include "print.h"

namespace resnetc::program {

inline std::vector<std::uint64_t> extents(int channels, int height, int width) {
  return {static_cast<std::uint64_t>(channels), static_cast<std::uint64_t>(height), static_cast<std::uint64_t>(width)};
}

// Of one image, without N.
inline std::vector<std::uint64_t> input_shape(const rn_description& net) {
  return extents(net.channels, net.height, net.width);
}

inline std::vector<std::uint64_t> output_shape(const rn_description& net) {
  if (net.has_head) return {static_cast<std::uint64_t>(net.output_channels)};
  return extents(net.output_channels, net.output_height, net.output_width);
}

inline std::size_t value_count(const std::vector<std::uint64_t>& shape) {
  std::size_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  return count;
}

// Of a handle's message: what the library calls max_batch is an option of the program.
inline std::string with_options_named(std::string message) {
  const std::string field = "max_batch", option = "--batch";
  for (std::size_t at = 0; (at = message.find(field, at)) != std::string::npos; at += option.size())
    message.replace(at, field.size(), option);
  return message;
}

class Model {
 public:
  // Throws Error.
  Model(const rn_description& net, int threads, int batch, int device = 0, bool fallback = false) {
    const rn_options options = {threads, batch, nullptr, 0, device, fallback ? 1 : 0};
    const int status = rn_create(&model_, &net, &options);
    if (status == rn_ok) {
      const std::string note = with_options_named(rn_message(model_));
      if (!note.empty()) print_error(net.name, note + "; it runs on the CPU");
      on_device_ = net.device != nullptr && note.empty();
      return;
    }
    const std::string message = model_ != nullptr ? with_options_named(rn_message(model_)) : "not enough memory";
    rn_destroy(model_);
    throw Error(message);
  }
  ~Model() { rn_destroy(model_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // input: n x input_shape; output: n x output_shape. Throws Error.
  void run(const float* input, int n, float* output) {
    if (rn_run(model_, input, n, output) != rn_ok) throw Error(rn_message(model_));
  }

  // As rn_profile.
  void time_steps(double* seconds) { rn_profile(model_, seconds); }

  // As rn_run_kernels: seconds. Throws Error.
  double run_kernels(int n) {
    double seconds = 0;
    if (rn_run_kernels(model_, n, &seconds) != rn_ok) throw Error(rn_message(model_));
    return seconds;
  }

  // As rn_time_step: seconds of one launch of a step alone. Throws Error.
  double time_step(std::uint32_t step, int n) {
    double seconds = 0;
    if (rn_time_step(model_, step, n, &seconds) != rn_ok) throw Error(rn_message(model_));
    return seconds;
  }

  // As rn_measure_device. Throws Error.
  rn_device_peak device_peak() {
    rn_device_peak peak{};
    if (rn_measure_device(model_, &peak) != rn_ok) throw Error(rn_message(model_));
    return peak;
  }

  bool on_device() const { return on_device_; }
  int threads() const { return rn_thread_count(model_); }
  void share_images(bool on) { rn_share_images(model_, on); }
  uint64_t own_image_bytes() const { return rn_own_image_bytes(model_); }
  std::uint32_t parallel_loops() const { return rn_parallel_loops(model_); }

 private:
  rn_model* model_ = nullptr;
  bool on_device_ = false;
};

}  // namespace resnetc::program

#endif
