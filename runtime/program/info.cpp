#include <string>

#include "../arena.h"
#include "../device.h"
#include "commands.h"
#include "error.h"
#include "model.h"
#include "npy.h"
#include "print.h"

namespace resnetc::program {

namespace {

std::string count_text(std::uint64_t count) {
  const double value = static_cast<double>(count);
  if (count < 1000000) return format("%llu", static_cast<unsigned long long>(count));
  if (count < 1000000000) return format("%llu (%.1f million)", static_cast<unsigned long long>(count), value / 1e6);
  return format("%llu (%.2f billion)", static_cast<unsigned long long>(count), value / 1e9);
}

std::string byte_text(std::uint64_t bytes) {
  return format("%llu (%.1f MiB)", static_cast<unsigned long long>(bytes), static_cast<double>(bytes) / (1 << 20));
}

std::string numbers(const double* values, int count) {
  std::string text;
  for (int i = 0; i < count; i++) text += (i > 0 ? ", " : "") + format("%g", values[i]);
  return text;
}

std::string preprocess_text(const rn_preprocess& how) {
  static const char* const orders[] = {"RGB", "BGR", "gray"};
  static const char* const filters[] = {"nearest", "bilinear", "bicubic"};
  std::string text = orders[how.order];
  if (how.resize == rn_resize_shorter_side) text += format(", shorter side to %d", how.resize_height);
  if (how.resize == rn_resize_exact) text += format(", resize to %d x %d", how.resize_height, how.resize_width);
  if (how.resize != rn_resize_none) text += std::string(" (") + filters[how.interpolation] + ")";
  if (how.crop_height > 0) text += format(", centre crop %d x %d", how.crop_height, how.crop_width);
  const int channels = how.order == rn_order_gray ? 1 : 3;
  return text + format(", (x * %g - mean) / std, mean ", how.scale) + numbers(how.mean, channels) + ", std " +
         numbers(how.std, channels);
}

void line(const char* name, const std::string& value) {
  print(format("%-13s ", name) + value + "\n");
}

// What the program is does not depend on where it lies: no device is no error here.
std::string device_text(const rn_description& net, const Options& options) {
  char text[512];
  const int count = net.device->count(text, sizeof text);
  const std::string instead = options.fallback ? "; the CPU runs it" : "";
  if (count < 0) return "none: " + std::string(text) + instead;
  if (options.device >= count)
    return format("none: there is no %d, --list-devices lists %d", options.device, count) + instead;
  net.device->describe(options.device, text, sizeof text);
  return text;
}

}  // namespace

void list_devices(const rn_description& net) {
  char text[512];
  const int count = net.device->count(text, sizeof text);
  if (count < 0) throw Error(text);
  for (int i = 0; i < count; i++) {
    net.device->describe(i, text, sizeof text);
    print(format("%d  %s\n", i, text));
  }
}

std::string at_once_text(const rn_description& net, int batch) {
  const int head = rn_images_at_once(&net, 0, batch), tail = rn_images_at_once(&net, net.tail_step, batch);
  if (!runtime::has_tail(net) || head == tail) return std::to_string(head);
  return format("%d and, from %s on, %d", head, net.step_names[net.tail_step], tail);
}

namespace {

std::string arena_text(const rn_description& net, int batch) {
  const int most = rn_most_images(&net);
  if (rn_images_at_once(&net, 0, batch) > most)
    return format("none: --batch %d is too large: %d is the most", batch, most);
  return byte_text(rn_arena_bytes(&net, batch)) +
         format(" for a batch of %d, %s at once", batch, at_once_text(net, batch).c_str());
}

}  // namespace

void print_info(const rn_description& net, const Options& options) {
  line("name", net.name);
  line("target", net.target);
  line("version", net.version);
  line("input", shape_text("N", input_shape(net)) + " float32");
  const char* output = net.has_head ? " float32, before the softmax" : " float32, the last stage's map";
  line("output", shape_text("N", output_shape(net)) + output);
  if (net.has_head) line("labels", net.labels != nullptr ? "yes" : "no");
  line("preprocessing", net.has_preprocess ? preprocess_text(net.preprocess) : "none: takes --input only");
  line("parameters", count_text(net.parameters));
  line("MACs", count_text(net.macs) + " an image");
  line("weights", byte_text(net.weight_bytes) + (net.weights_bf16 ? " in this file, as bf16" : " in this file"));
  line("kernels", format("%u, called %u times", net.kernel_count, net.step_count));
  line("arena", arena_text(net, options.batch));
  flush_output();
  if (net.device != nullptr) return line("device", device_text(net, options));
  const Model model(net, options.threads, options.batch, options.device, options.fallback);
  const uint64_t own = model.own_image_bytes();
  line("threads", std::to_string(model.threads()) +
                      (own > 0 ? ", which take images of their own in " + byte_text(own) + " more" : ""));
}

}  // namespace resnetc::program
