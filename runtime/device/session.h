/* A device that is open, for a net or for single kernels: its context, what Halide's runtime said of it, memory. */
#ifndef RESNETC_RUNTIME_DEVICE_SESSION_H
#define RESNETC_RUNTIME_DEVICE_SESSION_H

#include <stddef.h>

#include "driver.h"

namespace resnetc::runtime {

// Where the text of an error goes.
struct Message {
  char* text;
  size_t bytes;
  int fail(int code, const char* format, ...) const __attribute__((format(printf, 3, 4)));  // returns code
};

struct Session {
  DeviceContext context;  // first, for its alignment
  Pool pool;
  void* user_context;  // what a kernel's first argument points to
  const Driver* driver;
  const char* api;  // rn_device's
  DeviceInfo info;
  int index;  // of the device
  bool opened;
  char error[400];  // what Halide's runtime or note() said
};

// Zeroed memory of so many bytes, which hold a Session in front; NULL without memory. For free().
void* session_memory(size_t bytes);

// session: of session_memory. Returns 0 or an rn_error_... with a message; close_session() is due in any case.
int open_session(Session* session, const Driver& driver, const char* api, int index, const Message& message);

// Whether an open device runs kernels of a target; else an rn_error_device with a message, where the driver would only
// refuse the first kernel.
int check_capability(const Session* session, const char* target, const Message& message);

// All memory on the device must be free by then.
void close_session(Session* session);

// Why Halide's runtime failed, in one line; an error that it has no name for by its number.
const char* reason(Session* session);

// Whether it failed because the driver is older than the kernels.
bool driver_is_old(const Session* session);

// Makes an error of the driver, if it is one, the reason; returns it.
int note(Session* session, int error);

// Brings up what buffer->host holds, into new memory if it has none. The host's memory must stay as it is until wait()
// or bring_down() has returned: CUDA may copy later.
int bring_up(Session* session, halide_buffer_t* buffer);

// Brings down what the device has, into buffer->host; it is there when this returns.
int bring_down(Session* session, halide_buffer_t* buffer);

// Until the device has done all that is queued.
int wait(Session* session);

// As rn_device's.
int measure_session(Session* session, rn_device_peak* peak, const Message& message);

double now();  // in seconds

// What `queue` queues on the device, recorded; it returns 0 if all was queued. Null where there is no such thing as a
// recording, or it failed; nothing has run in any case. Kernels must have run before: while recording nothing may be
// compiled or allocated.
template <class Queue>
void* record(Session* session, Queue&& queue) {
  const Driver& driver = *session->driver;
  if (!driver.begin_recording || !driver.begin_recording(&session->context)) return nullptr;
  const int status = queue();
  void* recording = driver.end_recording(&session->context);
  if (status == 0 || !recording) return recording;
  driver.forget(&session->context, recording);
  return nullptr;
}

}  // namespace resnetc::runtime

#endif
