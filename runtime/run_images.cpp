#include "run_images.h"

#include <stdlib.h>
#include <time.h>

namespace resnetc::runtime {
namespace {

// So many of the images are taken by the threads one each, as many by each: the kernels of an image then run on one
// thread, which reads what it wrote itself and waits for no other.
int own_images(const rn_model* model, int images) {
  return model->own_calls && !model->share_images && !model->seconds ? images - images % model->pool.threads : 0;
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

// The steps from begin to before end. image: the first, of those that go through the tail together. Returns the status
// of the kernel that fails, which failed_step names; nothing runs after one.
int run_steps(rn_model* model, Calls& calls, uint32_t begin, uint32_t end, const float* input, int image, int batch,
              float* output) {
  const rn_description& d = *model->description;
  double* const seconds = model->seconds;
  int64_t last = seconds ? now() : 0;
  for (uint32_t s = begin; s < end; s++) {
    const rn_step& step = d.steps[s];
    Call& call = calls.steps[s];
    for (uint32_t i = 0; i < step.operand_count; i++) {
      if (step.operands[i].kind == rn_operand_input)
        call.buffers[i].host = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(input));
      if (step.operands[i].kind == rn_operand_output) call.buffers[i].host = reinterpret_cast<uint8_t*>(output);
    }
    const rn_operand& result = step.operands[step.operand_count - 1];
    if (result.kind == rn_operand_tensor && d.tensors[result.index].border_shared) {
      const rn_tensor& t = d.tensors[result.index];
      clear_border(calls, t, s < d.tail_step && is_in_tail(d, t) ? image : 0, batch);
      if (seconds) lap(&seconds[d.step_count + s], &last);
    }
    const rn_kernel kernel = d.device ? d.fallback_kernels[step.kernel_index] : step.kernel;
    const int status = kernel(call.arguments);
    if (seconds) lap(&seconds[s], &last);
    if (status != 0) {
      uint32_t none = 0;
      model->failed_step.compare_exchange_strong(none, s + 1);
      return status;
    }
  }
  return 0;
}

struct Images {
  rn_model* model;
  const float* input;
  float* output;

  const float* input_of(int image) const {
    return input + input_floats(*model->description) * static_cast<size_t>(image);
  }
  float* output_of(int image) const { return output + output_floats(*model->description) * static_cast<size_t>(image); }
};

// So many images from this one on, through the head.
int run_head(const Images& images, Calls& calls, int image, int batch) {
  const uint32_t end = images.model->description->tail_step;
  set_batch(&calls, 0, end, batch, &calls.head_batch);
  if (has_tail(*images.model->description)) set_image(&calls, image);
  return run_steps(images.model, calls, 0, end, images.input_of(image), image, batch, images.output_of(image));
}

// A task of the pool.
int run_own_image(void* user_context, int image, uint8_t* closure) {
  const auto& images = *reinterpret_cast<const Images*>(closure);
  if (images.model->failed_step.load() != 0) return 0;
  const int worker = static_cast<const Worker*>(user_context)->index;
  return run_head(images, worker == 0 ? images.model->calls : images.model->own_calls[worker - 1].calls, image, 1);
}

int run_chunk(const Images& images, int batch) {
  rn_model* model = images.model;
  const rn_description& d = *model->description;
  Calls& calls = model->calls;
  int image = own_images(model, batch), status = 0;
  if (image > 0)
    status = halide_do_par_for(model->user_context, run_own_image, 0, image,
                               reinterpret_cast<uint8_t*>(const_cast<Images*>(&images)));
  for (; status == 0 && image < batch; image += calls.head_images)
    status = run_head(images, calls, image, batch - image < calls.head_images ? batch - image : calls.head_images);
  if (status == 0 && has_tail(d)) {
    set_batch(&calls, d.tail_step, d.step_count, batch, &calls.tail_batch);
    status = run_steps(model, calls, d.tail_step, d.step_count, images.input, 0, batch, images.output);
  }
  if (status == 0) return rn_ok;
  const char* error = model->pool.error.load();
  return fail(model, rn_error_kernel, "kernel %s failed with status %d: %s",
              d.kernel_keys[d.steps[model->failed_step.load() - 1].kernel_index], status,
              error ? error : "no reason given");
}

}  // namespace

int images_together(const rn_model* model) {
  return has_tail(*model->description) ? model->calls.tail_images : model->calls.head_images;
}

void make_own_calls(rn_model* model) {
  // Each thread then reads all weights of the head for each image: seen to pay on two cores. For more threads than this
  // only where a cache holds them.
  constexpr int most_threads = 8;
  constexpr uint64_t cached_bytes = 4 << 20;
  const rn_description& d = *model->description;
  const int others = model->pool.threads - 1;
  if (!model->on_cpu || !model->own_arena_bytes || others < 1 || model->max_batch <= others || d.tail_step == 0) return;
  if (has_tail(d) && model->calls.tail_images <= others) return;
  if (model->pool.threads > most_threads && d.weight_bytes > cached_bytes) return;
  const auto count = static_cast<size_t>(others);
  model->own_heads_bytes = d.head.arena_bytes_per_image * count;
  model->own_heads = map_pages(model->own_heads_bytes);
  model->own_steps = static_cast<Call*>(calloc(count * d.tail_step, sizeof(Call)));
  auto* own = static_cast<OwnCalls*>(calloc(count, sizeof(OwnCalls)));
  if (!model->own_heads || !model->own_steps || !own) return free(own);
  for (size_t i = 0; i < count; i++) {
    own[i].user_context = &model->pool.workers[i + 1];
    own[i].calls = model->calls;
    own[i].calls.steps = model->own_steps + i * d.tail_step;
    own[i].calls.step_count = d.tail_step;
    own[i].calls.head = static_cast<unsigned char*>(model->own_heads) + d.head.arena_bytes_per_image * i;
    own[i].calls.head_images = 1;
    own[i].calls.head_batch = 0;
    describe_calls(&own[i].calls, &own[i].user_context);
  }
  model->own_calls = own;
}

int run_images(rn_model* model, const float* input, int n, float* output) {
  const rn_description& d = *model->description;
  model->failed_step.store(0);
  while (n > 0) {
    const int together = images_together(model), own = has_tail(d) ? 0 : own_images(model, n);
    const int batch = own > 0 ? own : n < together ? n : together;
    const int status = run_chunk({model, input, output}, batch);
    if (status != rn_ok) return status;
    input += input_floats(d) * static_cast<size_t>(batch);
    output += output_floats(d) * static_cast<size_t>(batch);
    n -= batch;
  }
  return rn_ok;
}

}  // namespace resnetc::runtime
