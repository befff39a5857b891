#include "kernels.h"

#include <stdlib.h>

#include "../runtime.h"
#include "session.h"

namespace resnetc::runtime {
namespace {

void close(Session* session) {
  close_session(session);
  free(session->context.worker.scratch);
  free(session);
}

Session* open(const rn_device* device, int index, size_t scratch_bytes, char* message, size_t bytes) {
  const Message text = {message, bytes};
  void* scratch = aligned_alloc(64, scratch_bytes / 64 * 64 + 64);
  auto* session = static_cast<Session*>(session_memory(sizeof(Session)));
  if (!session || !scratch) {
    free(scratch);
    free(session);
    text.fail(rn_error_memory, "no memory for a handle");
    return nullptr;
  }
  session->context.keeps_memory = true;
  session->context.worker.scratch = static_cast<char*>(scratch);
  session->pool.scratch_bytes = scratch_bytes;
  if (open_session(session, *static_cast<const Driver*>(device->driver), device->api, index, text) == rn_ok)
    return session;
  close(session);
  return nullptr;
}

const DeviceInfo* info(const Session* session) {
  return &session->info;
}

int check(const Session* session, const char* target, char* message, size_t bytes) {
  return check_capability(session, target, {message, bytes});
}

void* context(Session* session) {
  return &session->user_context;
}

int allocate(Session* session, halide_buffer_t* buffer) {
  session->pool.error = nullptr;
  return halide_device_malloc(&session->context, buffer, session->driver->halide());
}

int up(Session* session, halide_buffer_t* buffer) {
  session->pool.error = nullptr;
  const int status = bring_up(session, buffer);
  return status == 0 ? wait(session) : status;
}

int down(Session* session, halide_buffer_t* buffer) {
  session->pool.error = nullptr;
  return bring_down(session, buffer);
}

int share(Session* session, const halide_buffer_t* whole, halide_buffer_t* part) {
  session->pool.error = nullptr;
  return halide_device_crop(&session->context, whole, part);
}

void unshare(Session* session, halide_buffer_t* part) {
  if (part->device) halide_device_release_crop(&session->context, part);
}

void release(Session* session, halide_buffer_t* buffer) {
  if (buffer->device) halide_device_free(&session->context, buffer);
}

int launch(Session* session, const KernelLaunches& launches) {
  session->pool.error = nullptr;
  for (int i = 0; i < launches.count; i++) {
    const int status = launches.kernel(launches.arguments[i % launches.lists]);
    if (status != 0 || session->pool.error) return rn_error_kernel;  // compiled without asserts, it does not say so
  }
  return rn_ok;
}

int run(Session* session, const KernelLaunches& launches, double* seconds) {
  const double start = now();
  int status = launch(session, launches);
  if (status == 0) status = wait(session);
  *seconds = now() - start;
  return status;
}

void* record_launches(Session* session, const KernelLaunches& launches) {
  return record(session, [&] { return launch(session, launches); });
}

int replay(Session* session, void* recording, double* seconds) {
  session->pool.error = nullptr;
  const double start = now();
  if (note(session, session->driver->replay(&session->context, recording)) != 0) return rn_error_kernel;
  const int status = wait(session);
  *seconds = now() - start;
  return status;
}

int measure(Session* session, rn_device_peak* peak, char* message, size_t bytes) {
  return measure_session(session, peak, {message, bytes});
}

void forget(Session* session, void* recording) {
  session->driver->forget(&session->context, recording);
}

}  // namespace
}  // namespace resnetc::runtime

extern "C" const resnetc::runtime::KernelDevice rn_kernel_device = {
    resnetc::runtime::open,     resnetc::runtime::info,    resnetc::runtime::check,   resnetc::runtime::context,
    resnetc::runtime::allocate, resnetc::runtime::up,      resnetc::runtime::down,    resnetc::runtime::share,
    resnetc::runtime::unshare,  resnetc::runtime::release, resnetc::runtime::run,     resnetc::runtime::record_launches,
    resnetc::runtime::replay,   resnetc::runtime::forget,  resnetc::runtime::measure, resnetc::runtime::reason,
    resnetc::runtime::close};
