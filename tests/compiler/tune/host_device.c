/* A device in the host's memory, as compiler/tune/device_runner.cpp asks for it: kernels are functions in C, a launch
   takes as long as host_launch_seconds says, and what is recorded is run when it is replayed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dimension {
  int32_t min, extent, stride;
  uint32_t flags;
};
struct buffer {
  uint64_t device;
  void* interface;
  unsigned char* host;
  uint64_t flags;
  uint32_t type;
  int32_t dimensions;
  struct dimension* dim;
  void* padding;
};
struct info {
  char name[256], detail[256];
  unsigned long long memory_bytes, shared_bytes, cache_bytes, threads, alignment;
  unsigned units;
  int capability;
};
struct launches {
  int (*kernel)(void**);
  void** const* arguments;
  int lists, count;
};
struct recording {
  struct launches of;
  void** arguments[4096];
};

double host_launch_seconds = 1e-4;
int host_recordings = 0;      /* that there are now */
int host_most_recordings = 9; /* 0: there is no such thing */
int host_is_lost = 0;         /* what a kernel's first argument points to */

static struct info info = {"host", "", 1 << 30, 1 << 15, 1 << 20, 256, 64, 1, 0};

static size_t bytes_of(const struct buffer* b) {
  size_t last = 0;
  for (int i = 0; i < b->dimensions; i++) last += (size_t)(b->dim[i].extent - 1) * (size_t)b->dim[i].stride;
  return (last + 1) * sizeof(float);
}

static void* open_device(const void* device, int index, size_t scratch, char* message, size_t bytes) {
  (void)device, (void)index, (void)scratch, (void)message, (void)bytes;
  return &info;
}
static const struct info* info_of(const void* session) {
  return session;
}
static int check(const void* session, const char* target, char* message, size_t bytes) {
  (void)session, (void)target, (void)message, (void)bytes;
  return 0;
}
static void* context(void* session) {
  (void)session;
  return &host_is_lost;
}
static int allocate(void* session, struct buffer* b) {
  (void)session;
  b->device = (uint64_t)(uintptr_t)calloc(1, bytes_of(b));
  return b->device ? 0 : 1;
}
static int up(void* session, struct buffer* b) {
  if (host_is_lost || (!b->device && allocate(session, b))) return 1;
  memcpy((void*)(uintptr_t)b->device, b->host, bytes_of(b));
  return 0;
}
static int down(void* session, struct buffer* b) {
  (void)session;
  if (host_is_lost) return 1;
  memcpy(b->host, (void*)(uintptr_t)b->device, bytes_of(b));
  return 0;
}
static int share(void* session, const struct buffer* whole, struct buffer* part) {
  (void)session;
  int64_t first = 0;
  for (int i = 0; i < part->dimensions; i++)
    first += (int64_t)(part->dim[i].min - whole->dim[i].min) * whole->dim[i].stride;
  part->device = whole->device + (uint64_t)first * sizeof(float);
  return 0;
}
static void unshare(void* session, struct buffer* part) {
  (void)session;
  part->device = 0;
}
static void release(void* session, struct buffer* b) {
  (void)session;
  free((void*)(uintptr_t)b->device);
  b->device = 0;
}
static int run(void* session, const struct launches* launches, double* seconds) {
  (void)session;
  for (int i = 0; i < launches->count; i++)
    if (host_is_lost || launches->kernel(launches->arguments[i % launches->lists])) return 1;
  *seconds = host_launch_seconds * launches->count;
  return 0;
}
static void* record(void* session, const struct launches* launches) {
  (void)session;
  struct recording* r = calloc(1, sizeof *r);
  if (!r || host_recordings == host_most_recordings || launches->lists > 4096) {
    free(r);
    return NULL;
  }
  memcpy((void*)r->arguments, (const void*)launches->arguments, (size_t)launches->lists * sizeof(void**));
  r->of = *launches;
  r->of.arguments = r->arguments;
  host_recordings++;
  return r;
}
static int replay(void* session, void* recording, double* seconds) {
  return run(session, &((struct recording*)recording)->of, seconds);
}
static void forget(void* session, void* recording) {
  (void)session;
  host_recordings--;
  free(recording);
}
static int measure(void* session, void* peak, char* message, size_t bytes) {
  (void)session, (void)peak, (void)message, (void)bytes;
  return 1;
}
static const char* error(void* session) {
  (void)session;
  return host_is_lost ? "the device is lost" : "a kernel fails";
}
static void close_device(void* session) {
  (void)session;
}

const int rn_opencl = 0;

const struct {
  void* (*open)(const void*, int, size_t, char*, size_t);
  const struct info* (*info)(const void*);
  int (*check)(const void*, const char*, char*, size_t);
  void* (*context)(void*);
  int (*allocate)(void*, struct buffer*), (*up)(void*, struct buffer*), (*down)(void*, struct buffer*);
  int (*share)(void*, const struct buffer*, struct buffer*);
  void (*unshare)(void*, struct buffer*), (*release)(void*, struct buffer*);
  int (*run)(void*, const struct launches*, double*);
  void* (*record)(void*, const struct launches*);
  int (*replay)(void*, void*, double*);
  void (*forget)(void*, void*);
  int (*measure)(void*, void*, char*, size_t);
  const char* (*error)(void*);
  void (*close)(void*);
} rn_kernel_device = {open_device, info_of, check,  context, allocate, up,      down,  share,       unshare,
                      release,     run,     record, replay,  forget,   measure, error, close_device};
