#include "session.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../runtime.h"

namespace resnetc::runtime {

int Message::fail(int code, const char* format, ...) const {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, bytes, format, arguments);
  va_end(arguments);
  return code;
}

void* session_memory(size_t bytes) {
  void* memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory) memset(memory, 0, bytes);
  return memory;
}

namespace {

// Drivers, their loader and Halide's runtime set themselves up at their first use, and not for several threads at once.
pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

// As many as the message has room for.
int no_such_device(const Session* session, int index, int count, const Message& message) {
  message.fail(rn_error_device, "there is no %s device %d: there %s %d", session->api, index, count == 1 ? "is" : "are",
               count);
  for (int i = 0; i < count; i++) {
    char device[256];
    describe_device(*session->driver, i, device, sizeof device);
    const size_t used = strlen(message.text);
    snprintf(message.text + used, message.bytes - used, "%s %d %s", i == 0 ? ":" : ",", i, device);
  }
  return rn_error_device;
}

int find_and_open(Session* session, int index, const Message& message) {
  const Driver& driver = *session->driver;
  const int count = count_devices(driver, message.text, message.bytes);
  if (count < 0) return rn_error_device;
  if (index < 0 || index >= count) return no_such_device(session, index, count, message);
  if (!driver.info(index, &session->info))
    return message.fail(rn_error_device, "%s device %d says nothing of itself", session->api, index);
  session->opened = true;
  session->index = index;
  if (note(session, driver.open(&session->context, index)) == 0 && wait(session) == 0) return rn_ok;
  return message.fail(rn_error_device, "%s: cannot be opened (%s); is it in use, or out of memory?", session->info.name,
                      reason(session));
}

}  // namespace

int open_session(Session* session, const Driver& driver, const char* api, int index, const Message& message) {
  session->driver = &driver;
  session->api = api;
  session->user_context = &session->context;
  session->context.worker.pool = &session->pool;
  session->pool.workers = &session->context.worker;
  session->pool.threads = 1;
  session->pool.message = session->error;
  session->pool.message_bytes = sizeof session->error;
  pthread_mutex_lock(&opening);
  const int status = find_and_open(session, index, message);
  pthread_mutex_unlock(&opening);
  return status;
}

int check_capability(const Session* session, const char* target, const Message& message) {
  constexpr char feature[] = "cuda_capability_";
  const char* named = strstr(target, feature);
  const int least = named ? atoi(named + sizeof feature - 1) : 0, own = session->info.capability;
  if (own >= least) return rn_ok;
  constexpr int of_host_cuda = 50;  // schedules/machine.cpp's least_cuda_capability: no target asks for less
  return message.fail(rn_error_device, "%s: has compute capability %d.%d, the kernels need %d.%d%s", session->info.name,
                      own / 10, own % 10, least / 10, least % 10,
                      own >= of_host_cuda ? ": use --target host-cuda" : "");
}

void close_session(Session* session) {
  if (session->context.queue) wait(session);  // for copies from the host's memory, after an error
  if (session->opened) session->driver->close(&session->context, session->index);
}

bool driver_is_old(const Session* session) {
  const Driver& driver = *session->driver;
  return driver.is_old && session->pool.error && strstr(session->error, "cuModuleLoadData") &&
         driver.is_old(driver.last_error());
}

namespace {

void put_number(Session* session) {
  constexpr char unknown[] = "<Unknown error>";
  const int number = session->driver->last_error ? session->driver->last_error() : 0;
  char* at = strstr(session->error, unknown);
  if (number == 0 || !at) return;
  char text[sizeof session->error + 32];
  snprintf(text, sizeof text, "error %d%s", number, at + strlen(unknown));
  snprintf(at, sizeof session->error - static_cast<size_t>(at - session->error), "%s", text);
}

}  // namespace

const char* reason(Session* session) {
  if (!session->pool.error) return "no reason given";
  put_number(session);
  for (char* c = session->error; *c; c++)
    if (*c == '\n' || *c == '\t') *c = ' ';
  // Halide's runtime has no name for some errors: "clCreateBuffer failed: ".
  for (size_t end = strlen(session->error); end > 0 && strchr(" :", session->error[end - 1]); end--)
    session->error[end - 1] = '\0';
  return session->error;
}

int note(Session* session, int error) {
  if (error != 0 && !session->pool.error) {
    snprintf(session->error, sizeof session->error, "%s error %d", session->api, error);
    set_error(&session->pool, session->error);
  }
  return error;
}

int bring_up(Session* session, halide_buffer_t* buffer) {
  buffer->flags = halide_buffer_flag_host_dirty;
  return halide_copy_to_device(&session->context, buffer, session->driver->halide());
}

int bring_down(Session* session, halide_buffer_t* buffer) {
  buffer->flags = halide_buffer_flag_device_dirty;
  const int status = halide_copy_to_host(&session->context, buffer);
  return status == 0 ? wait(session) : status;
}

int wait(Session* session) {
  return halide_device_sync_global(&session->context, session->driver->halide());
}

int measure_session(Session* session, rn_device_peak* peak, const Message& message) {
  memcpy(peak->name, session->info.name, sizeof peak->name);
  peak->cache_bytes = session->info.cache_bytes;
  if (session->driver->measure(&session->context, session->index, session->info, peak)) return rn_ok;
  return message.fail(rn_error_device, "%s: what it can do at most cannot be measured; is its memory full?",
                      session->info.name);
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int count_devices(const Driver& driver, char* message, size_t bytes) {
  const char* missing = driver.missing();
  if (missing && strcmp(missing, driver.library) == 0) {
    snprintf(message, bytes, "no driver: %s is not there; install %s, or compile for another --target", driver.library,
             driver.install);
    return -1;
  }
  if (missing) {
    snprintf(message, bytes, "%s has no %s: install a newer driver", driver.library, missing);
    return -1;
  }
  const int count = driver.count();
  if (count > 0) return count;
  if (count < 0 && count == driver.no_platform) {
    snprintf(message, bytes, "%s is there, but no OpenCL platform is installed: install the GPU's OpenCL driver",
             driver.library);
    return -1;
  }
  char error[32] = "";
  if (count < 0) snprintf(error, sizeof error, " (error %d)", -count);
  snprintf(message, bytes, "%s knows no device%s: install its driver, or let this user use it", driver.library, error);
  return -1;
}

void describe_device(const Driver& driver, int index, char* text, size_t bytes) {
  DeviceInfo info = {};
  if (!driver.info(index, &info)) return void(snprintf(text, bytes, "says nothing of itself"));
  snprintf(text, bytes, "%s (%s), %.1f GiB", info.name, info.detail,
           static_cast<double>(info.memory_bytes) / (1u << 30));
}

}  // namespace resnetc::runtime

// ---- What Halide's runtime asks for beside the hooks of pool.cpp.

extern "C" {

bool halide_can_reuse_device_allocations(void* user_context) {
  return user_context && static_cast<const resnetc::runtime::DeviceContext*>(user_context)->keeps_memory;
}

// In place of getenv, to which no variable of the environment gets: the emitted code does not depend on any. Without
// this Halide has the driver use no more than 64 registers a thread, fewer than the sums of a large tile alone.
char* rn_device_getenv(const char* name) {
  static char most_registers[] = "255";
  return strcmp(name, "HL_CUDA_JIT_MAX_REGISTERS") == 0 ? most_registers : nullptr;
}
}
