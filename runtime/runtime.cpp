#include "runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu.h"
#include "device.h"
#include "handle.h"
#include "preprocess.h"
#include "run_images.h"
#include "thread_count.h"

using namespace resnetc::runtime;

namespace {

int make_threads(rn_model* model, int threads) {
  const size_t scratch = (model->description->scratch_bytes + 127) / 64 * 64;
  void *workers = nullptr, *memory = nullptr;
  if (posix_memalign(&workers, 64, static_cast<size_t>(threads) * sizeof(Worker)) != 0) return rn_error_memory;
  model->workers_memory = workers;
  memset(workers, 0, static_cast<size_t>(threads) * sizeof(Worker));
  if (posix_memalign(&memory, 64, static_cast<size_t>(threads) * scratch) != 0) return rn_error_memory;
  model->scratch_memory = memory;
  for (int i = 0; i < threads; i++)
    static_cast<Worker*>(workers)[i].scratch = static_cast<char*>(memory) + static_cast<size_t>(i) * scratch;
  model->user_context = workers;
  const int started = pool_start(&model->pool, static_cast<Worker*>(workers), threads, scratch);
  if (started < threads)
    return fail(model, rn_error_thread, "only %d of %d threads could be started: ask for fewer threads", started,
                threads);
  return rn_ok;
}

int make_memory(rn_model* model, const rn_options& options) {
  const rn_description& d = *model->description;
  const size_t bytes = rn_arena_bytes(&d, model->max_batch);
  if (!model->on_cpu) {
    if (options.arena)
      return fail(model, rn_error_argument, "the arena of %s lies in the device's memory: give none", d.name);
  } else if (options.arena) {
    if (reinterpret_cast<uintptr_t>(options.arena) % 64 != 0)
      return fail(model, rn_error_argument, "the arena must be 64-byte aligned");
    if (options.arena_bytes < bytes)
      return fail(model, rn_error_argument, "the arena has %zu bytes, but max_batch %d needs %zu", options.arena_bytes,
                  model->max_batch, bytes);
    model->calls.head = static_cast<unsigned char*>(options.arena);
    memset(model->calls.head, 0, bytes);
  } else {
    model->calls.head = static_cast<unsigned char*>(map_pages(bytes));
    if (!model->calls.head)
      return fail(model, rn_error_memory, "no memory for an arena of %zu bytes: use a smaller max_batch", bytes);
    model->own_arena_bytes = bytes;
  }
  model->calls.tail = model->calls.head + d.head.arena_bytes_per_image * static_cast<size_t>(model->calls.head_images);
  model->calls.description = &d;
  model->calls.step_count = d.step_count;
  model->calls.steps = static_cast<Call*>(calloc(d.step_count, sizeof(Call)));
  model->image_input = static_cast<float*>(malloc(input_floats(d) * sizeof(float)));
  return model->calls.steps && model->image_input ? rn_ok : fail(model, rn_error_memory, "no memory for a handle");
}

int check_batch(rn_model* model) {
  const int most = rn_most_images(model->description);
  if (images_together(model) <= most) return rn_ok;
  return fail(model, rn_error_argument, "max_batch %d is too large: %d is the most", model->max_batch, most);
}

int lacks(rn_model* model, const char* before, uint32_t features) {
  const rn_description& d = *model->description;
  return fail(model, rn_error_cpu,
              "%sthis CPU lacks %s: %s was compiled for %s; compile it for this machine or with a lower --target",
              before, cpu_feature_name(features), d.name, d.target);
}

// Where it may fall back and there is no such device, none that can be used or none with memory enough, the handle is
// for the CPU, and the message says why.
int make_device_net(rn_model* model, const rn_options& options) {
  const rn_description& d = *model->description;
  const int status = d.device->create(&model->device_net, &d, options.device, model->calls.head_images, model->message,
                                      sizeof model->message);
  const bool is_for_other_devices = status == rn_error_device || status == rn_error_memory;
  model->on_cpu = is_for_other_devices && options.fallback && d.fallback_kernels;
  if (!model->on_cpu) return status;
  const uint32_t missing = d.fallback_cpu_features & ~cpu_features();
  if (!missing) return rn_ok;
  char why[sizeof model->message / 2];  // the other half says what the CPU lacks
  snprintf(why, sizeof why, "%.240s; and ", model->message);
  return lacks(model, why, missing);
}

int initialise(rn_model* model, const rn_options& options) {
  const rn_description& d = *model->description;
  const uint32_t missing = d.cpu_features & ~cpu_features();
  if (missing) return lacks(model, "", missing);
  if (options.threads < 0 || options.threads > 4096)
    return fail(model, rn_error_argument, "threads must be 0 to 4096, got %d", options.threads);
  if (options.max_batch < 0)
    return fail(model, rn_error_argument, "max_batch must not be negative, got %d", options.max_batch);
  model->max_batch = options.max_batch > 0 ? options.max_batch : 1;
  model->calls.head_images = rn_images_at_once(&d, 0, model->max_batch);
  model->calls.tail_images = rn_images_at_once(&d, d.tail_step, model->max_batch);
  model->on_cpu = !d.device;
  int status = check_batch(model);
  if (status == rn_ok && d.device) status = make_device_net(model, options);
  if (status == rn_ok) status = make_memory(model, options);
  if (status != rn_ok) return status;
  status = make_threads(model, !model->on_cpu ? 1 : options.threads > 0 ? options.threads : default_thread_count());
  if (status == rn_error_memory)
    return fail(model, status, "no memory for the scratch of the threads: ask for fewer threads");
  if (status != rn_ok) return status;
  if (model->on_cpu) describe_calls(&model->calls, &model->user_context);
  make_own_calls(model);
  return rn_ok;
}

int run_on_device(rn_model* model, const float* input, int n, float* output) {
  const rn_description& d = *model->description;
  while (n > 0) {
    const int batch = n < images_together(model) ? n : images_together(model);
    const int status = d.device->run(model->device_net, input, batch, output, model->message, sizeof model->message);
    if (status != rn_ok) return status;
    input += input_floats(d) * static_cast<size_t>(batch);
    output += output_floats(d) * static_cast<size_t>(batch);
    n -= batch;
  }
  return rn_ok;
}

}  // namespace

extern "C" {

int rn_create(rn_model** out, const rn_description* description, const rn_options* options) {
  if (!out) return rn_error_argument;
  *out = static_cast<rn_model*>(aligned_alloc(64, (sizeof(rn_model) + 63) / 64 * 64));
  if (!*out) return rn_error_memory;
  memset(static_cast<void*>(*out), 0, sizeof(rn_model));
  (*out)->description = description;
  const rn_options defaults = {0, 0, nullptr, 0, 0, 0};
  return initialise(*out, options ? *options : defaults);
}

int rn_run(rn_model* model, const float* input, int n, float* output) {
  if (!model) return rn_error_argument;
  model->message[0] = '\0';
  if (!model->calls.steps || !model->user_context || model->pool.started < model->pool.threads ||
      (!model->on_cpu && !model->device_net))
    return fail(model, rn_error_argument, "this handle could not be created");
  if (n < 0 || (n > 0 && (!input || !output)))
    return fail(model, rn_error_argument, "n must not be negative, and input and output not NULL");
  model->pool.error.store(nullptr);
  return model->device_net ? run_on_device(model, input, n, output) : run_images(model, input, n, output);
}

int rn_run_image(rn_model* model, const uint8_t* rgb, int width, int height, size_t row_bytes, float* output) {
  if (!model) return rn_error_argument;
  const rn_description& d = *model->description;
  model->message[0] = '\0';
  if (!model->image_input) return fail(model, rn_error_argument, "this handle could not be created");
  if (!d.has_preprocess)
    return fail(model, rn_error_argument, "%s has no preprocessing: give it normalised inputs", d.name);
  if (!rgb || width < 1 || height < 1 || row_bytes < static_cast<size_t>(width) * 3)
    return fail(model, rn_error_argument, "an image needs at least one pixel and row_bytes of at least 3 * width");
  int result_height = 0, result_width = 0;
  const int status = rn_preprocess_image(&d.preprocess, rgb, width, height, row_bytes, d.height, d.width,
                                         model->image_input, &result_height, &result_width);
  if (status == rn_preprocess_memory)
    return fail(model, rn_error_memory, "no memory to resize an image of %d x %d", width, height);
  if (status == rn_preprocess_size)
    return fail(model, rn_error_argument, "the image is %d x %d pixels after preprocessing, but %s takes %d x %d",
                result_width, result_height, d.name, d.width, d.height);
  return rn_run(model, model->image_input, 1, output);
}

const char* rn_message(const rn_model* model) {
  return model ? model->message : "out of memory";
}

void rn_destroy(rn_model* model) {
  if (!model) return;
  if (model->device_net) model->description->device->destroy(model->device_net);
  if (model->pool.started > 0) pool_stop(&model->pool);
  if (model->own_arena_bytes) munmap(model->calls.head, model->own_arena_bytes);
  if (model->own_heads) munmap(model->own_heads, model->own_heads_bytes);
  free(model->own_calls);
  free(model->own_steps);
  free(model->workers_memory);
  free(model->scratch_memory);
  free(model->calls.steps);
  free(model->image_input);
  free(model);
}

void rn_profile(rn_model* model, double* seconds) {
  model->seconds = seconds;
}
void rn_share_images(rn_model* model, int on) {
  model->share_images = on != 0;
}
static int check_on_device(rn_model* model, int batch) {
  if (model->device_net && batch >= 1 && batch <= model->calls.head_images) return rn_ok;
  return fail(model, rn_error_argument, "no net on a device that was made for %d images", batch);
}
int rn_run_kernels(rn_model* model, int batch, double* seconds) {
  if (check_on_device(model, batch) != rn_ok) return rn_error_argument;
  return model->description->device->run_kernels(model->device_net, batch, seconds, model->message,
                                                 sizeof model->message);
}
int rn_time_step(rn_model* model, uint32_t step, int batch, double* seconds) {
  if (check_on_device(model, batch) != rn_ok) return rn_error_argument;
  if (step >= model->description->step_count) return fail(model, rn_error_argument, "there is no step %u", step);
  return model->description->device->time_step(model->device_net, step, batch, seconds, model->message,
                                               sizeof model->message);
}
int rn_measure_device(rn_model* model, rn_device_peak* peak) {
  if (check_on_device(model, 1) != rn_ok) return rn_error_argument;
  return model->description->device->measure(model->device_net, peak, model->message, sizeof model->message);
}
int rn_thread_count(const rn_model* model) {
  return model->pool.threads;
}
uint32_t rn_parallel_loops(const rn_model* model) {
  return model->pool.epoch.load();
}
int rn_max_batch(const rn_model* model) {
  return model->max_batch;
}
uint64_t rn_own_image_bytes(const rn_model* model) {
  return model->own_calls ? model->own_heads_bytes : 0;
}
int rn_images_at_once(const rn_description* description, uint32_t step, int max_batch) {
  const rn_part& part = step < description->tail_step ? description->head : description->tail;
  return max_batch < part.images_at_once ? max_batch : part.images_at_once;
}
int rn_most_images(const rn_description* description) {
  const rn_description& d = *description;
  size_t largest = input_floats(d) > output_floats(d) ? input_floats(d) : output_floats(d);
  for (uint32_t i = 0; i < d.tensor_count; i++)
    if (image_floats(d.tensors[i]) > largest) largest = image_floats(d.tensors[i]);
  return static_cast<int>(INT32_MAX / largest);
}
uint64_t rn_arena_bytes(const rn_description* description, int max_batch) {
  const rn_description& d = *description;
  const auto part_bytes = [&](const rn_part& part, uint32_t step) {
    return part.arena_bytes_per_image * static_cast<uint64_t>(rn_images_at_once(&d, step, max_batch));
  };
  return part_bytes(d.head, 0) + (has_tail(d) ? part_bytes(d.tail, d.tail_step) : 0);
}
}
