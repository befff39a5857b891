#include "runtime.h"

#include <HalideRuntime.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "buffers.h"
#include "cpu.h"
#include "device.h"
#include "pool.h"
#include "preprocess.h"
#include "thread_count.h"

using namespace resnetc::runtime;

namespace {

struct Call {
  halide_buffer_t buffers[rn_max_operands];
  halide_dimension_t dimensions[rn_max_operands][5];
  void* arguments[rn_max_operands + 1];  // the user context, then the buffers
};

}  // namespace

struct rn_model {
  const rn_description* description;
  Pool pool;
  void* user_context;  // the worker of the caller's thread
  Call* calls;         // one a step
  unsigned char* arena;
  size_t own_arena_bytes;  // 0: the caller's
  float* image_input;      // one preprocessed image
  void* workers_memory;
  void* scratch_memory;
  int max_batch;
  int head_images, tail_images;  // that go through each part together at most
  int head_batch, tail_batch;    // that the buffers are set for
  double* seconds;               // of rn_profile, or NULL
  bool on_cpu;                   // always, but where a device is used
  void* device_net;              // NULL: the kernels run on the CPU
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

// image: of those that its part takes together.
float* tensor_start(const rn_model* model, const rn_tensor& t, int image) {
  const size_t offset = arena_offset(*model->description, t, model->head_images, model->tail_images);
  return reinterpret_cast<float*>(model->arena + offset) + image_floats(t) * static_cast<size_t>(image);
}

// A result is written inside the border only, an operand is read with it.
uint8_t* first_pixel(const rn_model* model, const rn_tensor& t, bool is_result, int image) {
  float* start = tensor_start(model, t, image);
  if (is_result)
    start += (static_cast<size_t>(t.border_top) * columns_of(t) + static_cast<size_t>(t.border_left)) *
             static_cast<size_t>(t.channels);
  return reinterpret_cast<uint8_t*>(start);
}

// Images are (c, x, y, n).
void describe_tensor(const rn_model* model, const rn_tensor& t, bool is_result, halide_buffer_t* buffer,
                     halide_dimension_t* dim) {
  describe_bordered(t, dim);
  if (is_result) {
    dim[1].min = dim[2].min = 0;
    dim[1].extent = t.width;
    dim[2].extent = t.height;
  }
  // A vector [n, c] is stored as an image of one pixel; its kernels see (c, n).
  buffer->dimensions = 4;
  buffer->host = first_pixel(model, t, is_result, 0);
}

void describe_calls(rn_model* model) {
  const rn_description& d = *model->description;
  for (uint32_t s = 0; s < d.step_count; s++) {
    const rn_step& step = d.steps[s];
    Call& call = model->calls[s];
    call.arguments[0] = &model->user_context;
    for (uint32_t i = 0; i < step.operand_count; i++) {
      halide_buffer_t* buffer = &call.buffers[i];
      halide_dimension_t* dim = call.dimensions[i];
      call.arguments[i + 1] = buffer;
      buffer->type = halide_type_t(halide_type_float, 32, 1);
      buffer->dim = dim;
      const rn_operand& operand = step.operands[i];
      if (operand.kind == rn_operand_tensor) {
        describe_tensor(model, d.tensors[operand.index], i + 1 == step.operand_count, buffer, dim);
        if (d.tensors[operand.index].is_vector) {
          dim[1] = dim[3];
          buffer->dimensions = 2;
        }
      } else if (operand.kind == rn_operand_weight) {
        const rn_weight& weight = d.weights[operand.index];
        describe_dense(weight.extent, weight.dimensions, buffer, dim);
        buffer->host = const_cast<uint8_t*>(d.weight_blob) + weight.offset;
      } else if (operand.kind == rn_operand_input) {
        const int extent[] = {d.width, d.height, d.channels, 1};
        describe_dense(extent, 4, buffer, dim);
      } else if (d.has_head) {
        const int extent[] = {d.output_channels, 1};
        describe_dense(extent, 2, buffer, dim);
      } else {
        const int extent[] = {d.output_width, d.output_height, d.output_channels, 1};
        describe_dense(extent, 4, buffer, dim);
      }
    }
  }
}

// Of the steps from first to before last, whose buffers are set for *batch_now.
void set_batch(rn_model* model, uint32_t first, uint32_t last, int batch, int* batch_now) {
  if (*batch_now == batch) return;
  *batch_now = batch;
  for (uint32_t s = first; s < last; s++) {
    const rn_step& step = model->description->steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      halide_buffer_t& buffer = model->calls[s].buffers[i];
      if (step.operands[i].kind != rn_operand_weight) buffer.dim[buffer.dimensions - 1].extent = batch;
    }
  }
}

// The head's results that the tail reads, for the images from this one on.
void set_image(rn_model* model, int image) {
  const rn_description& d = *model->description;
  for (uint32_t s = 0; s < d.tail_step; s++) {
    const rn_step& step = d.steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      if (step.operands[i].kind != rn_operand_tensor) continue;
      const rn_tensor& t = d.tensors[step.operands[i].index];
      if (is_in_tail(d, t)) model->calls[s].buffers[i].host = first_pixel(model, t, i + 1 == step.operand_count, image);
    }
  }
}

void clear_border(const rn_model* model, const rn_tensor& t, int first, int batch) {
  const size_t pixel = static_cast<size_t>(t.channels), row = columns_of(t) * pixel;
  const size_t top = static_cast<size_t>(t.border_top) * row, bottom = static_cast<size_t>(t.border_bottom) * row;
  const size_t left = static_cast<size_t>(t.border_left) * pixel, right = static_cast<size_t>(t.border_right) * pixel;
  float* image = tensor_start(model, t, first);
  for (int n = 0; n < batch; n++, image += image_floats(t)) {
    memset(image, 0, (top + left) * sizeof(float));
    // The right border of a row and the left one of the next lie side by side.
    float* edge = image + top + row - right;
    for (int y = 1; y < t.height; y++, edge += row) memset(edge, 0, (right + left) * sizeof(float));
    memset(edge, 0, (right + bottom) * sizeof(float));
  }
}

// The images that go through the net before the next ones begin.
int chunk_images(const rn_model* model) {
  return model->description->tail_step < model->description->step_count ? model->tail_images : model->head_images;
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
    Call& call = model->calls[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      if (step.operands[i].kind == rn_operand_input)
        call.buffers[i].host = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(input));
      if (step.operands[i].kind == rn_operand_output) call.buffers[i].host = reinterpret_cast<uint8_t*>(output);
    }
    const rn_operand& result = step.operands[step.operand_count - 1];
    if (result.kind == rn_operand_tensor && d.tensors[result.index].border_shared) {
      const rn_tensor& t = d.tensors[result.index];
      clear_border(model, t, s < d.tail_step && is_in_tail(d, t) ? image : 0, batch);
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
  for (int image = 0; image < batch; image += model->head_images) {
    const int images = batch - image < model->head_images ? batch - image : model->head_images;
    set_batch(model, 0, d.tail_step, images, &model->head_batch);
    if (d.tail_step < d.step_count) set_image(model, image);
    const int status = run_steps(model, 0, d.tail_step, input + input_floats(d) * static_cast<size_t>(image), image,
                                 images, output + output_floats(d) * static_cast<size_t>(image));
    if (status != rn_ok) return status;
  }
  set_batch(model, d.tail_step, d.step_count, batch, &model->tail_batch);
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
  // Kernels count the floats of a tensor in 32 bits.
  size_t largest = input_floats(d) > output_floats(d) ? input_floats(d) : output_floats(d);
  for (uint32_t i = 0; i < d.tensor_count; i++)
    if (image_floats(d.tensors[i]) > largest) largest = image_floats(d.tensors[i]);
  if (static_cast<size_t>(chunk_images(model)) > INT32_MAX / largest)
    return fail(model, rn_error_argument, "max_batch %d is too large: %zu is the most", model->max_batch,
                INT32_MAX / largest);
  if (!model->on_cpu) {
    if (options.arena)
      return fail(model, rn_error_argument, "the arena of %s lies in the device's memory: give none", d.name);
  } else if (options.arena) {
    if (reinterpret_cast<uintptr_t>(options.arena) % 64 != 0)
      return fail(model, rn_error_argument, "the arena must be 64-byte aligned");
    if (options.arena_bytes < bytes)
      return fail(model, rn_error_argument, "the arena has %zu bytes, but max_batch %d needs %zu", options.arena_bytes,
                  model->max_batch, bytes);
    model->arena = static_cast<unsigned char*>(options.arena);
    memset(model->arena, 0, bytes);
  } else {
    model->arena = static_cast<unsigned char*>(map_pages(bytes));
    if (!model->arena)
      return fail(model, rn_error_memory, "no memory for an arena of %zu bytes: use a smaller max_batch", bytes);
    model->own_arena_bytes = bytes;
  }
  model->calls = static_cast<Call*>(calloc(d.step_count, sizeof(Call)));
  model->image_input = static_cast<float*>(malloc(input_floats(d) * sizeof(float)));
  return model->calls && model->image_input ? rn_ok : fail(model, rn_error_memory, "no memory for a handle");
}

// If not, the message says why.
bool has_device(rn_model* model, int index) {
  const rn_device& device = *model->description->device;
  const int count = device.count(model->message, sizeof model->message);
  if (count >= 0 && (index < 0 || index >= count))
    fail(model, rn_error_device, "there is no %s device %d: there are %d", device.api, index, count);
  return index >= 0 && index < count;
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
  model->head_images = rn_images_at_once(&d, 0, model->max_batch);
  model->tail_images = rn_images_at_once(&d, d.tail_step, model->max_batch);
  model->on_cpu = !d.device || (options.fallback && d.fallback_kernels && !has_device(model, options.device));
  int status = make_memory(model, options);
  if (status != rn_ok) return status;
  status = make_threads(model, !model->on_cpu ? 1 : options.threads > 0 ? options.threads : default_thread_count());
  if (status == rn_error_memory)
    return fail(model, status, "no memory for the scratch of the threads: ask for fewer threads");
  if (status != rn_ok) return status;
  if (!model->on_cpu)
    return d.device->create(&model->device_net, &d, options.device, model->head_images, model->message,
                            sizeof model->message);
  describe_calls(model);
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
  if (!model->calls || !model->user_context || model->pool.started < model->pool.threads ||
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
  if (model->own_arena_bytes) munmap(model->arena, model->own_arena_bytes);
  free(model->workers_memory);
  free(model->scratch_memory);
  free(model->calls);
  free(model->image_input);
  free(model);
}

void rn_profile(rn_model* model, double* seconds) {
  model->seconds = seconds;
}
static int check_on_device(rn_model* model, int batch) {
  if (model->device_net && batch >= 1 && batch <= model->head_images) return rn_ok;
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
  return part_bytes(d.head, 0) + (d.tail_step < d.step_count ? part_bytes(d.tail, d.tail_step) : 0);
}
}
