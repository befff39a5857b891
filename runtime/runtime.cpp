#include "runtime.h"

#include <HalideRuntime.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "calls.h"
#include "cpu.h"
#include "device.h"
#include "pool.h"
#include "preprocess.h"
#include "thread_count.h"

using namespace resnetc::runtime;

struct rn_model {
  const rn_description* description;
  Pool pool;
  void* user_context;  // the worker of the caller's thread
  Calls calls;
  size_t own_arena_bytes;  // 0: the caller's
  float* image_input;      // one preprocessed image
  void* workers_memory;
  void* scratch_memory;
  int max_batch;
  double* seconds;   // of rn_profile, or NULL
  bool on_cpu;       // always, but where a device is used
  void* device_net;  // NULL: the kernels run on the CPU
  char message[512];
};

namespace {

int fail(rn_model* model, int code, const char* format, ...) __attribute__((format(printf, 3, 4)));
int fail(rn_model* model, int code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(model->message, sizeof model->message, format, arguments);
  va_end(arguments);
  return code;
}

// The images that go through the net before the next ones begin.
int chunk_images(const rn_model* model) {
  return has_tail(*model->description) ? model->calls.tail_images : model->calls.head_images;
}

int64_t now() {  // in nanoseconds
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

// Adds the time since *last to *sum, in seconds.
void lap(double* sum, int64_t* last) {
  const int64_t time = now();
  *sum += 1e-9 * static_cast<double>(time - *last);
  *last = time;
}

// The steps from begin to before end. image: the first, of those that go through the tail together.
int run_steps(rn_model* model, uint32_t begin, uint32_t end, const float* input, int image, int batch, float* output) {
  const rn_description& d = *model->description;
  double* const seconds = model->seconds;
  int64_t last = seconds ? now() : 0;
  for (uint32_t s = begin; s < end; s++) {
    const rn_step& step = d.steps[s];
    Call& call = model->calls.steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      if (step.operands[i].kind == rn_operand_input)
        call.buffers[i].host = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(input));
      if (step.operands[i].kind == rn_operand_output) call.buffers[i].host = reinterpret_cast<uint8_t*>(output);
    }
    const rn_operand& result = step.operands[step.operand_count - 1];
    if (result.kind == rn_operand_tensor && d.tensors[result.index].border_shared) {
      const rn_tensor& t = d.tensors[result.index];
      clear_border(model->calls, t, s < d.tail_step && is_in_tail(d, t) ? image : 0, batch);
      if (seconds) lap(&seconds[d.step_count + s], &last);
    }
    const rn_kernel kernel = d.device ? d.fallback_kernels[step.kernel_index] : step.kernel;
    const int status = kernel(call.arguments);
    if (seconds) lap(&seconds[s], &last);
    if (status != 0) {
      const char* error = model->pool.error.load();
      return fail(model, rn_error_kernel, "kernel %s failed with status %d: %s", d.kernel_keys[step.kernel_index],
                  status, error ? error : "no reason given");
    }
  }
  return rn_ok;
}

int run_chunk(rn_model* model, const float* input, int batch, float* output) {
  const rn_description& d = *model->description;
  for (int image = 0; image < batch; image += model->calls.head_images) {
    const int images = batch - image < model->calls.head_images ? batch - image : model->calls.head_images;
    set_batch(&model->calls, 0, d.tail_step, images, &model->calls.head_batch);
    // Where one pass through the head is all that the tail takes, its results stay where they are.
    if (model->calls.tail_images > model->calls.head_images) set_image(&model->calls, image);
    const int status = run_steps(model, 0, d.tail_step, input + input_floats(d) * static_cast<size_t>(image), image,
                                 images, output + output_floats(d) * static_cast<size_t>(image));
    if (status != rn_ok) return status;
  }
  set_batch(&model->calls, d.tail_step, d.step_count, batch, &model->calls.tail_batch);
  return run_steps(model, d.tail_step, d.step_count, input, 0, batch, output);
}

// Pages of zeros; NULL without memory.
void* map_pages(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

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
    model->calls.arena = static_cast<unsigned char*>(options.arena);
    memset(model->calls.arena, 0, bytes);
  } else {
    model->calls.arena = static_cast<unsigned char*>(map_pages(bytes));
    if (!model->calls.arena)
      return fail(model, rn_error_memory, "no memory for an arena of %zu bytes: use a smaller max_batch", bytes);
    model->own_arena_bytes = bytes;
  }
  model->calls.description = &d;
  model->calls.steps = static_cast<Call*>(calloc(d.step_count, sizeof(Call)));
  model->image_input = static_cast<float*>(malloc(input_floats(d) * sizeof(float)));
  return model->calls.steps && model->image_input ? rn_ok : fail(model, rn_error_memory, "no memory for a handle");
}

int check_batch(rn_model* model) {
  const rn_description& d = *model->description;
  // Kernels count the floats of a tensor in 32 bits.
  size_t largest = input_floats(d) > output_floats(d) ? input_floats(d) : output_floats(d);
  for (uint32_t i = 0; i < d.tensor_count; i++)
    if (image_floats(d.tensors[i]) > largest) largest = image_floats(d.tensors[i]);
  if (static_cast<size_t>(chunk_images(model)) <= INT32_MAX / largest) return rn_ok;
  return fail(model, rn_error_argument, "max_batch %d is too large: %zu is the most", model->max_batch,
              INT32_MAX / largest);
}

// Where it may fall back and there is no such device, none that can be used or none with memory enough, the handle is
// for the CPU, and the message says why.
int make_device_net(rn_model* model, const rn_options& options) {
  const rn_description& d = *model->description;
  const int status = d.device->create(&model->device_net, &d, options.device, model->calls.head_images, model->message,
                                      sizeof model->message);
  const bool is_for_other_devices = status == rn_error_device || status == rn_error_memory;
  model->on_cpu = is_for_other_devices && options.fallback && d.fallback_kernels;
  return model->on_cpu ? static_cast<int>(rn_ok) : status;
}

int initialise(rn_model* model, const rn_options& options) {
  const rn_description& d = *model->description;
  const uint32_t missing = d.cpu_features & ~cpu_features();
  if (missing)
    return fail(model, rn_error_cpu,
                "this CPU lacks %s: %s was compiled for %s; compile it for this machine or with a lower --target",
                cpu_feature_name(missing), d.name, d.target);
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
  while (n > 0) {
    const int batch = n < chunk_images(model) ? n : chunk_images(model);
    const int status = model->device_net ? model->description->device->run(model->device_net, input, batch, output,
                                                                           model->message, sizeof model->message)
                                         : run_chunk(model, input, batch, output);
    if (status != rn_ok) return status;
    input += input_floats(*model->description) * static_cast<size_t>(batch);
    output += output_floats(*model->description) * static_cast<size_t>(batch);
    n -= batch;
  }
  return rn_ok;
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
  if (model->own_arena_bytes) munmap(model->calls.arena, model->own_arena_bytes);
  free(model->workers_memory);
  free(model->scratch_memory);
  free(model->calls.steps);
  free(model->image_input);
  free(model);
}

void rn_profile(rn_model* model, double* seconds) {
  model->seconds = seconds;
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
int rn_images_at_once(const rn_description* description, uint32_t step, int max_batch) {
  const rn_part& part = step < description->tail_step ? description->head : description->tail;
  return max_batch < part.images_at_once ? max_batch : part.images_at_once;
}
uint64_t rn_arena_bytes(const rn_description* description, int max_batch) {
  const rn_description& d = *description;
  const auto part_bytes = [&](const rn_part& part, uint32_t step) {
    return part.arena_bytes_per_image * static_cast<uint64_t>(rn_images_at_once(&d, step, max_batch));
  };
  return part_bytes(d.head, 0) + (has_tail(d) ? part_bytes(d.tail, d.tail_step) : 0);
}
}
