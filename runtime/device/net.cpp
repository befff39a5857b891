// A net on a device: its memory there, and the loop over its kernels.
#include <stdlib.h>

#include "../buffers.h"
#include "../runtime.h"
#include "session.h"

namespace resnetc::runtime {
namespace {

// The arena is counted in rows of so many bytes, the alignment of tensors in the memory plans of devices; a row is 128
// floats, so that an extent of 32 bits is enough.
constexpr size_t row_bytes = 512;

struct Call {
  halide_buffer_t buffers[rn_max_operands];
  halide_dimension_t dimensions[rn_max_operands][5];
  void* arguments[rn_max_operands + 1];  // the user context, then the buffers
};

struct Rows {  // the arena, or a part of it
  halide_buffer_t buffer;
  halide_dimension_t dim[2];
};

struct Weight {
  halide_buffer_t buffer;
  halide_dimension_t dim[5];
};

struct Net : Session {
  const rn_description* description;
  int max_batch, batch;
  uint32_t alone;  // the one step that is under way, or step_count: all may be
  Rows arena;
  Rows* tensors;
  Weight* weights;
  Call* calls;
  Call caller;      // the caller's input and output
  void* recording;  // of the kernels for max_batch images, or null
};

void* zeroed(size_t count, size_t size) {
  return calloc(count > 0 ? count : 1, size);
}

void dense(const int* extent, int dimensions, halide_buffer_t* buffer, halide_dimension_t* dim) {
  describe_dense(extent, dimensions, buffer, dim);
  buffer->type = halide_type_t(halide_type_float, 32, 1);
  buffer->dim = dim;
}

// With its border, whether it is read or written.
void describe_tensor(const rn_tensor& t, halide_buffer_t* buffer, halide_dimension_t* dim) {
  describe_bordered(t, dim);
  buffer->type = halide_type_t(halide_type_float, 32, 1);
  buffer->dim = dim;
  buffer->dimensions = 4;
  if (t.is_vector) {
    dim[1] = dim[3];
    buffer->dimensions = 2;
  }
}

int make_arena(Net* net, const Message& message) {
  const rn_description& d = *net->description;
  const size_t images = static_cast<size_t>(net->max_batch), bytes = d.head.arena_bytes_per_image * images;
  const auto rows = static_cast<int>(bytes / row_bytes);
  net->arena.dim[0] = {0, row_bytes / sizeof(float), 1, 0};
  net->arena.dim[1] = {0, rows, row_bytes / sizeof(float), 0};
  net->arena.buffer.type = halide_type_t(halide_type_float, 32, 1);
  net->arena.buffer.dim = net->arena.dim;
  net->arena.buffer.dimensions = 2;
  int status = halide_device_malloc(&net->context, &net->arena.buffer, net->driver->halide());
  // For the borders; nothing else ever writes there.
  if (status == 0) status = note(net, net->driver->zero(&net->context, &net->arena.buffer, bytes));
  if (status == 0) status = wait(net);  // else what fails now, or is only now given memory, is the first kernel's error
  if (status != 0)
    return message.fail(rn_error_memory, "%s: cannot hold an arena of %zu bytes: use a smaller max_batch (%s)",
                        net->info.name, bytes, reason(net));
  net->tensors = static_cast<Rows*>(zeroed(d.tensor_count, sizeof(Rows)));
  if (!net->tensors) return message.fail(rn_error_memory, "no memory for a handle");
  for (uint32_t i = 0; i < d.tensor_count; i++) {
    Rows& tensor = net->tensors[i];
    tensor = net->arena;
    tensor.buffer.device = 0;
    tensor.buffer.device_interface = nullptr;
    tensor.buffer.dim = tensor.dim;
    tensor.dim[1].min = static_cast<int>(d.tensors[i].offset * images / row_bytes);
    tensor.dim[1].extent =
        static_cast<int>((image_floats(d.tensors[i]) * sizeof(float) * images + row_bytes - 1) / row_bytes);
    if (halide_device_crop(&net->context, &net->arena.buffer, &tensor.buffer) != 0)
      return message.fail(rn_error_memory, "%s: the arena cannot be divided (%s)", net->info.name, reason(net));
  }
  return rn_ok;
}

int make_weights(Net* net, const Message& message) {
  const rn_description& d = *net->description;
  net->weights = static_cast<Weight*>(zeroed(d.weight_count, sizeof(Weight)));
  if (!net->weights) return message.fail(rn_error_memory, "no memory for a handle");
  int status = 0;
  for (uint32_t i = 0; i < d.weight_count && status == 0; i++) {
    Weight& weight = net->weights[i];
    dense(d.weights[i].extent, d.weights[i].dimensions, &weight.buffer, weight.dim);
    weight.buffer.host = const_cast<uint8_t*>(d.weight_blob) + d.weights[i].offset;
    status = bring_up(net, &weight.buffer);
    weight.buffer.host = nullptr;
  }
  if (status == 0) status = wait(net);  // as of the arena
  if (status == 0) return rn_ok;
  return message.fail(rn_error_memory, "%s: cannot hold %llu bytes of weights (%s)", net->info.name,
                      static_cast<unsigned long long>(d.weight_bytes), reason(net));
}

// Memory for the largest batch of the caller's tensors.
int make_caller_tensors(Net* net, const Message& message) {
  const rn_description& d = *net->description;
  halide_buffer_t *input = &net->caller.buffers[0], *output = &net->caller.buffers[1];
  const int in[] = {d.width, d.height, d.channels, net->max_batch};
  dense(in, 4, input, net->caller.dimensions[0]);
  if (d.has_head) {
    const int out[] = {d.output_channels, net->max_batch};
    dense(out, 2, output, net->caller.dimensions[1]);
  } else {
    const int out[] = {d.output_width, d.output_height, d.output_channels, net->max_batch};
    dense(out, 4, output, net->caller.dimensions[1]);
  }
  for (halide_buffer_t* buffer : {input, output})
    if (halide_device_malloc(&net->context, buffer, net->driver->halide()) != 0)
      return message.fail(rn_error_memory, "%s: cannot hold inputs and outputs: use a smaller max_batch (%s)",
                          net->info.name, reason(net));
  return rn_ok;
}

void use(Call* call, uint32_t operand, const halide_buffer_t& memory) {
  call->buffers[operand].device = memory.device;
  call->buffers[operand].device_interface = memory.device_interface;
}

void describe_calls(Net* net) {
  const rn_description& d = *net->description;
  for (uint32_t s = 0; s < d.step_count; s++) {
    Call& call = net->calls[s];
    call.arguments[0] = &net->user_context;
    for (uint32_t i = 0; i < d.steps[s].operand_count; i++) {
      const rn_operand& operand = d.steps[s].operands[i];
      halide_buffer_t* buffer = &call.buffers[i];
      call.arguments[i + 1] = buffer;
      if (operand.kind == rn_operand_tensor) {
        describe_tensor(d.tensors[operand.index], buffer, call.dimensions[i]);
        use(&call, i, net->tensors[operand.index].buffer);
        continue;
      }
      const bool weight = operand.kind == rn_operand_weight;
      const halide_buffer_t& memory =
          weight ? net->weights[operand.index].buffer : net->caller.buffers[operand.kind == rn_operand_output];
      *buffer = memory;
      buffer->dim = call.dimensions[i];
      for (int k = 0; k < memory.dimensions; k++) call.dimensions[i][k] = memory.dim[k];
      buffer->flags = 0;
    }
  }
}

void set_batch(Net* net, int batch) {
  if (net->batch == batch) return;
  net->batch = batch;
  const rn_description& d = *net->description;
  for (uint32_t s = 0; s < d.step_count; s++)
    for (uint32_t i = 0; i < d.steps[s].operand_count; i++) {
      halide_buffer_t& buffer = net->calls[s].buffers[i];
      if (d.steps[s].operands[i].kind != rn_operand_weight) buffer.dim[buffer.dimensions - 1].extent = batch;
    }
  for (int i = 0; i < 2; i++) {
    halide_buffer_t& buffer = net->caller.buffers[i];
    buffer.dim[buffer.dimensions - 1].extent = batch;
  }
}

int fail_step(Net* net, uint32_t step, const Message& message) {
  const rn_description& d = *net->description;
  if (driver_is_old(net))
    return message.fail(rn_error_device,
                        "%s: the driver is too old for this program (%s): install a newer one, or compile for a lower "
                        "cuda_capability",
                        net->info.name, reason(net));
  return message.fail(rn_error_kernel, "kernel %s failed on %s: %s", d.kernel_keys[d.steps[step].kernel_index],
                      net->info.name, reason(net));
}

int queue_step(Net* net, uint32_t step, const Message& message) {
  const int status = net->description->steps[step].kernel(net->calls[step].arguments);
  // A kernel that is compiled without asserts does not say that it failed.
  return status == 0 && !net->pool.error ? rn_ok : fail_step(net, step, message);
}

int queue_kernels(Net* net, const Message& message) {
  for (uint32_t s = 0; s < net->description->step_count; s++)
    if (const int status = queue_step(net, s, message)) return status;
  return rn_ok;
}

// What runs is known to have failed; of many kernels the device does not say in which.
int fail_running(Net* net, const Message& message) {
  const rn_description& d = *net->description;
  if (net->alone < d.step_count) return fail_step(net, net->alone, message);
  return message.fail(rn_error_kernel,
                      "%s: failed in one of %u kernels, of which --profile of a program finds it; up to %s: %s",
                      net->info.name, d.step_count, d.kernel_keys[d.steps[d.step_count - 1].kernel_index], reason(net));
}

int wait_for_kernels(Net* net, const Message& message) {
  return wait(net) == 0 ? rn_ok : fail_running(net, message);
}

// Before all steps are started for the batch, or one alone; what failed in the last run is forgotten.
void begin(Net* net, int batch, uint32_t alone) {
  net->pool.error = nullptr;
  net->alone = alone;
  set_batch(net, batch);
}
void begin(Net* net, int batch) {
  begin(net, batch, net->description->step_count);
}

int start_recorded(Net* net, void* recording, const Message& message) {
  return note(net, net->driver->replay(&net->context, recording)) == 0 ? rn_ok : fail_running(net, message);
}

// Queues the kernels: as recorded, where there is a recording for so many images.
int start(Net* net, const Message& message) {
  if (!net->recording || net->batch != net->max_batch) return queue_kernels(net, message);
  return start_recorded(net, net->recording, message);
}

// The seconds from when the device is idle until it has done what `queue` queues.
template <class Queue>
int timed(Net* net, double* seconds, const Message& message, Queue&& queue) {
  int status = wait_for_kernels(net, message);
  const double before = now();
  if (status == rn_ok) status = queue();
  if (status == rn_ok) status = wait_for_kernels(net, message);
  *seconds = now() - before;
  return status;
}

int bring_up_input(Net* net, const float* input, const Message& message) {
  halide_buffer_t* up = &net->caller.buffers[0];
  up->host = reinterpret_cast<uint8_t*>(const_cast<float*>(input));
  if (bring_up(net, up) == 0) return rn_ok;
  return message.fail(rn_error_kernel, "%s: the input cannot be brought up (%s)", net->info.name, reason(net));
}

int bring_down_output(Net* net, float* output, const Message& message) {
  halide_buffer_t* down = &net->caller.buffers[1];
  down->host = reinterpret_cast<uint8_t*>(output);
  return bring_down(net, down) == 0 ? rn_ok : fail_running(net, message);  // it waits for the kernels
}

int run(Net* net, const float* input, int batch, float* output, const Message& message) {
  begin(net, batch);
  int status = bring_up_input(net, input, message);
  if (status == rn_ok) status = start(net, message);
  if (status == rn_ok) status = bring_down_output(net, output, message);
  if (status != rn_ok) wait(net);  // the caller's memory is no longer used
  return status;
}

// Compiles every kernel for the device, by running it; one by one, so that it is known which one fails.
int run_once(Net* net, const Message& message) {
  const rn_description& d = *net->description;
  const size_t inputs = input_floats(d), outputs = output_floats(d);
  auto* values = static_cast<float*>(zeroed(inputs + outputs, sizeof(float)));
  if (!values) return message.fail(rn_error_memory, "no memory for a handle");
  begin(net, 1);
  int status = bring_up_input(net, values, message);
  for (uint32_t s = 0; s < d.step_count && status == rn_ok; s++) {
    status = queue_step(net, s, message);
    if (status == rn_ok && wait(net) != 0) status = fail_step(net, s, message);
  }
  if (status == rn_ok) status = bring_down_output(net, values + inputs, message);
  if (status != rn_ok) wait(net);
  free(values);
  return status;
}

int initialise(Net* net, const Driver& driver, int index, const Message& message) {
  const rn_description& d = *net->description;
  int status = open_session(net, driver, d.device->api, index, message);
  if (status == rn_ok) status = check_capability(net, d.target, message);
  if (status != rn_ok) return status;
  if (row_bytes % (net->info.alignment > 0 ? net->info.alignment : 1) != 0)
    return message.fail(rn_error_device, "%s: wants memory aligned to %llu bytes, tensors lie at %zu", net->info.name,
                        net->info.alignment, row_bytes);
  status = make_weights(net, message);
  if (status == rn_ok) status = make_arena(net, message);
  if (status == rn_ok) status = make_caller_tensors(net, message);
  if (status != rn_ok) return status;
  net->calls = static_cast<Call*>(zeroed(d.step_count, sizeof(Call)));
  if (!net->calls) return message.fail(rn_error_memory, "no memory for a handle");
  describe_calls(net);
  status = run_once(net, message);
  if (status != rn_ok) return status;
  // Without a recording all works as well, at the cost of one start for each kernel.
  char ignored[sizeof net->error];
  begin(net, net->max_batch);
  net->recording = record(net, [&] { return queue_kernels(net, {ignored, sizeof ignored}); });
  return rn_ok;
}

}  // namespace

int create_net(const Driver& driver, void** out, const rn_description* description, int index, int max_batch,
               char* text, size_t bytes) {
  const Message message = {text, bytes};
  *out = nullptr;
  auto* net = static_cast<Net*>(session_memory(sizeof(Net)));
  if (!net) return message.fail(rn_error_memory, "no memory for a handle");
  net->description = description;
  net->max_batch = max_batch;
  const int status = initialise(net, driver, index, message);
  if (status == rn_ok) {
    *out = net;
  } else {
    destroy_net(net);
  }
  return status;
}

int run_net(void* net, const float* input, int batch, float* output, char* text, size_t bytes) {
  return run(static_cast<Net*>(net), input, batch, output, {text, bytes});
}

int run_kernels(void* memory, int batch, double* seconds, char* text, size_t bytes) {
  auto* net = static_cast<Net*>(memory);
  const Message message = {text, bytes};
  begin(net, batch);
  return timed(net, seconds, message, [&] { return start(net, message); });
}

int time_step(void* memory, uint32_t step, int batch, double* seconds, char* text, size_t bytes) {
  constexpr double least_seconds = 1e-3;
  constexpr int least_launches = 5, most_launches = 1000;
  auto* net = static_cast<Net*>(memory);
  const Message message = {text, bytes};
  begin(net, batch, step);
  int launches = least_launches;
  const auto queue = [&] {
    for (int i = 0; i < launches; i++)
      if (const int status = queue_step(net, step, message)) return status;
    return static_cast<int>(rn_ok);
  };
  int status = timed(net, seconds, message, queue);
  if (status == rn_ok && *seconds < least_seconds) {
    const double needed = least_seconds * launches / *seconds;
    launches = needed < most_launches ? static_cast<int>(needed) + 1 : most_launches;
  }
  // As in a run, where a launch costs the host next to nothing.
  void* recording = status == rn_ok ? record(net, queue) : nullptr;
  if (status == rn_ok)
    status =
        timed(net, seconds, message, [&] { return recording ? start_recorded(net, recording, message) : queue(); });
  if (recording) net->driver->forget(&net->context, recording);
  *seconds /= launches;
  return status;
}

int measure_device(void* net, rn_device_peak* peak, char* text, size_t bytes) {
  return measure_session(static_cast<Net*>(net), peak, {text, bytes});
}

void destroy_net(void* memory) {
  auto* net = static_cast<Net*>(memory);
  if (!net) return;
  if (net->recording) net->driver->forget(&net->context, net->recording);
  const rn_description& d = *net->description;
  void* context = &net->context;
  for (uint32_t i = 0; net->tensors && i < d.tensor_count; i++)
    if (net->tensors[i].buffer.device) halide_device_release_crop(context, &net->tensors[i].buffer);
  for (uint32_t i = 0; net->weights && i < d.weight_count; i++)
    if (net->weights[i].buffer.device) halide_device_free(context, &net->weights[i].buffer);
  for (halide_buffer_t* buffer : {&net->arena.buffer, &net->caller.buffers[0], &net->caller.buffers[1]})
    if (buffer->device) halide_device_free(context, buffer);
  close_session(net);
  free(net->tensors);
  free(net->weights);
  free(net->calls);
  free(net);
}

}  // namespace resnetc::runtime
