/* Stands in for the CUDA driver (libcuda.so.1): computes nothing, but keeps count of all that is made and released,
   takes each call only as the driver does, and fails when it is told to. Copies are as late as they may be: done when
   the host waits for their stream. The environment says
     STAND_IN_MODULES  a folder for the text of each module, by its number
     STAND_IN_LOG      the file to which each call is written, and at the end what was not released
     STAND_IN_DEVICES  how many devices there are (1)
     STAND_IN_MEMORY   bytes of one (1 GiB)
     STAND_IN_CAPABILITY  of one, 10 * major + minor (86)
     STAND_IN_FAIL     CALL:N:ERROR: the Nth call of that name fails; CALL:N:ERROR:lost: so does every later call of any
   A call that the driver would not take ends the process with status 99. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  out_of_memory = 2,
  no_device = 100,
  invalid_device = 101,
  context_magic = 1,
  stream_magic,
  module_magic,
  function_magic,
  graph_magic,
  executable_magic
};

typedef struct object {
  int magic;
  struct object* context; /* that it belongs to */
  int number;             /* launches recorded in a graph; of a context its device; of a module and its functions */
  char name[200];         /* of a function */
} object;

typedef struct allocation {
  uint64_t start, bytes;
  object* context;
  struct allocation* next;
} allocation;

/* A copy that the driver may still be doing. */
typedef struct copy {
  unsigned char* host;
  size_t bytes;
  unsigned sum; /* of what is brought up; it must stay until the host has waited */
  int is_up;
  object* stream;
  struct copy* next;
} copy;

/* A device's own context, for all who retain it. */
typedef struct primary {
  object* context;
  int users;
} primary;

static primary primaries[64];
static FILE* record;
static copy* pending;
static int live[executable_magic + 1], calls_until_failure = -1, error_to_give, lost, is_lost, stack_depth;
static char failing[64];
static allocation* allocations;
static uint64_t used, next_address = 0x7f0000000000;
static object* stack[64];
static object *capturing, *captured; /* the stream, and the graph that grows */

static uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void say(const char* format, ...) {
  va_list arguments;
  if (!record) return;
  va_start(arguments, format);
  vfprintf(record, format, arguments);
  va_end(arguments);
  fputc('\n', record);
  fflush(record);
}

static void require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "stand-in: %s\n", what);
  say("refused %s", what);
  _Exit(99);
}

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("STAND_IN_LOG"), *fail = getenv("STAND_IN_FAIL");
  if (file) record = fopen(file, "a");
  if (fail) {
    char word[16] = "";
    require(sscanf(fail, "%63[^:]:%d:%d:%15s", failing, &calls_until_failure, &error_to_give, word) >= 3,
            "STAND_IN_FAIL");
    lost = strcmp(word, "lost") == 0;
  }
}

__attribute__((destructor)) static void end(void) {
  int count = 0;
  for (const allocation* a = allocations; a; a = a->next) count++;
  say("left contexts %d streams %d modules %d graphs %d executables %d allocations %d", live[context_magic],
      live[stream_magic], live[module_magic], live[graph_magic], live[executable_magic], count);
}

/* Notes a call; returns the error that it is to give. */
static int called(const char* name, const char* detail) {
  say("%s%s%s", name, *detail ? " " : "", detail);
  if (is_lost) return error_to_give;
  if (calls_until_failure < 0 || strcmp(name, failing) != 0 || --calls_until_failure != 0) return 0;
  is_lost = lost;
  return error_to_give;
}

#define CALLED(name, detail)                \
  do {                                      \
    const int error = called(name, detail); \
    if (error) return error;                \
  } while (0)

static object* current(void) {
  require(stack_depth > 0, "a call without a context");
  return stack[stack_depth - 1];
}

static object* make(int magic, object* context) {
  object* made = calloc(1, sizeof *made);
  require(made != NULL, "out of memory");
  made->magic = magic;
  made->context = context;
  live[magic]++;
  return made;
}

static object* checked(object* o, int magic) {
  require(o && o->magic == magic, "a handle that is none, or was released");
  require(magic == context_magic || o->context == current(), "a handle of another context");
  return o;
}

/* Memory stays, so that a later use is seen. */
static void release(object* o, int magic) {
  checked(o, magic)->magic = 0;
  live[magic]--;
}

static allocation* holding(uint64_t address, uint64_t bytes) {
  for (allocation* a = allocations; a; a = a->next)
    if (address >= a->start && address + bytes <= a->start + a->bytes) {
      require(a->context == current(), "memory of another context");
      return a;
    }
  require(0, "an address beyond what was allocated");
  return NULL;
}

int cuInit(unsigned flags) {
  CALLED("cuInit", "");
  return flags != 0 || setting("STAND_IN_DEVICES", 1) == 0 ? no_device : 0;
}
int cuDeviceGetCount(int* count) {
  *count = (int)setting("STAND_IN_DEVICES", 1);
  CALLED("cuDeviceGetCount", "");
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  CALLED("cuDeviceGet", "");
  *device = 10 + ordinal; /* not the number itself */
  return ordinal >= 0 && (uint64_t)ordinal < setting("STAND_IN_DEVICES", 1) ? 0 : invalid_device;
}
int cuDeviceGetName(char* name, int bytes, int device) {
  snprintf(name, (size_t)bytes, "stand-in %d", device - 10);
  CALLED("cuDeviceGetName", "");
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  (void)device;
  *bytes = setting("STAND_IN_MEMORY", 1u << 30);
  CALLED("cuDeviceTotalMem_v2", "");
  return 0;
}
int cuDeviceTotalMem(size_t* bytes, int device) {
  return cuDeviceTotalMem_v2(bytes, device);
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  (void)device;
  *value = attribute == 1    ? 1024
           : attribute == 8  ? 49152
           : attribute == 16 ? 2
           : attribute == 38 ? 1 << 20
           : attribute == 75 ? (int)setting("STAND_IN_CAPABILITY", 86) / 10
           : attribute == 76 ? (int)setting("STAND_IN_CAPABILITY", 86) % 10
                             : 0;
  CALLED("cuDeviceGetAttribute", "");
  return 0;
}

int cuCtxCreate_v2(object** context, unsigned flags, int device) {
  (void)context, (void)flags, (void)device;
  require(0, "a context beside the device's own");
  return 1;
}
int cuCtxDestroy_v2(object* context) {
  (void)context;
  require(0, "a context is destroyed that others may have");
  return 1;
}
int cuDevicePrimaryCtxRetain(object** context, int device) {
  char text[32];
  primary* p = &primaries[device - 10];
  snprintf(text, sizeof text, "%d", device - 10);
  CALLED("cuDevicePrimaryCtxRetain", text);
  if (p->users++ == 0) {
    p->context = make(context_magic, NULL);
    p->context->number = device - 10;
  }
  *context = p->context;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  primary* p = &primaries[device - 10];
  called("cuDevicePrimaryCtxRelease_v2", "");
  require(device >= 10 && p->users > 0, "a context is released that was not retained");
  if (--p->users > 0) return 0;
  for (int i = 0; i < stack_depth; i++) require(stack[i] != p->context, "a context is released in use");
  release(p->context, context_magic);
  return 0;
}
int cuCtxPushCurrent_v2(object* context) {
  require(stack_depth < 64, "contexts are pushed and never popped");
  stack[stack_depth++] = checked(context, context_magic);
  return 0;
}
int cuCtxPopCurrent_v2(object** context) {
  *context = current();
  stack_depth--;
  return 0;
}
int cuCtxGetApiVersion(object* context, unsigned* version) {
  (void)context;
  *version = 12000;
  return 0;
}
int cuCtxGetDevice(int* device) {
  *device = 10 + current()->number;
  return 0;
}
static unsigned sum_of(const unsigned char* values, size_t bytes) {
  unsigned sum = 1;
  for (size_t i = 0; i < bytes; i++) sum = sum * 31 + values[i];
  return sum;
}
static void pend(void* host, size_t bytes, int is_up, object* stream) {
  copy* made = malloc(sizeof *made);
  require(made != NULL, "out of memory");
  *made = (copy){host, bytes, is_up ? sum_of(host, bytes) : 0, is_up, checked(stream, stream_magic), pending};
  pending = made;
  if (!is_up) memset(host, 0xFF, bytes);
}
static void finish(object* stream) { /* NULL: all of them */
  for (copy** at = &pending; *at;) {
    copy* c = *at;
    if (stream && c->stream != stream) {
      at = &c->next;
      continue;
    }
    if (c->is_up)
      require(sum_of(c->host, c->bytes) == c->sum, "what is brought up changes before the host has waited");
    else
      memset(c->host, 0, c->bytes);
    *at = c->next;
    free(c);
  }
}
int cuCtxSynchronize(void) {
  current();
  require(!capturing, "the host waits while a stream is recorded");
  CALLED("cuCtxSynchronize", "");
  finish(NULL);
  return 0;
}
int cuProfilerStop(void) {
  return 0;
}

int cuStreamCreate(object** stream, unsigned flags) {
  require(flags == 1, "a stream that waits for the default one");
  CALLED("cuStreamCreate", "");
  *stream = make(stream_magic, current());
  return 0;
}
int cuStreamDestroy_v2(object* stream) {
  called("cuStreamDestroy_v2", "");
  for (const copy* c = pending; c; c = c->next)
    require(is_lost || c->stream != stream, "a stream with copies under way");
  release(stream, stream_magic);
  return 0;
}
int cuStreamSynchronize(object* stream) {
  current();
  if (stream) checked(stream, stream_magic); /* else the default one, which waits for all others */
  require(!capturing, "the host waits while a stream is recorded");
  CALLED("cuStreamSynchronize", "");
  finish(stream);
  return 0;
}
int cuStreamBeginCapture_v2(object* stream, int mode) {
  (void)mode;
  CALLED("cuStreamBeginCapture_v2", "");
  require(!capturing, "two streams are recorded");
  capturing = checked(stream, stream_magic);
  captured = make(graph_magic, current());
  return 0;
}
int cuStreamEndCapture(object* stream, object** graph) {
  require(capturing == checked(stream, stream_magic), "a stream that is not recorded");
  *graph = captured;
  capturing = captured = NULL;
  const int error = called("cuStreamEndCapture", "");
  if (error) {
    release(*graph, graph_magic);
    *graph = NULL;
  }
  return error;
}
int cuGraphInstantiateWithFlags(object** executable, object* graph, unsigned long long flags) {
  (void)flags;
  checked(graph, graph_magic);
  CALLED("cuGraphInstantiateWithFlags", "");
  *executable = make(executable_magic, current());
  (*executable)->number = graph->number;
  return 0;
}
int cuGraphLaunch(object* executable, object* stream) {
  char text[32];
  checked(stream, stream_magic);
  snprintf(text, sizeof text, "%d", checked(executable, executable_magic)->number);
  CALLED("cuGraphLaunch", text);
  return 0;
}
int cuGraphDestroy(object* graph) {
  called("cuGraphDestroy", "");
  release(graph, graph_magic);
  return 0;
}
int cuGraphExecDestroy(object* executable) {
  called("cuGraphExecDestroy", "");
  release(executable, executable_magic);
  return 0;
}

int cuModuleLoadData(object** module, const void* image) {
  require(!capturing, "a module is loaded while a stream is recorded");
  require(strstr(image, ".entry") != NULL, "a module that is no PTX");
  CALLED("cuModuleLoadData", "");
  static int loaded;
  *module = make(module_magic, current());
  (*module)->number = loaded++;
  if (getenv("STAND_IN_MODULES")) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%d.ptx", getenv("STAND_IN_MODULES"), (*module)->number);
    FILE* file = fopen(name, "w");
    require(file && fputs(image, file) >= 0 && fclose(file) == 0, "STAND_IN_MODULES");
  }
  return 0;
}
int cuModuleLoadDataEx(object** module, const void* image, unsigned options, int* names, void** values) {
  const int most_registers = 0;
  for (unsigned i = 0; i < options; i++)
    if (names[i] == most_registers) say("registers %d", (int)(intptr_t)values[i]);
  return cuModuleLoadData(module, image);
}
int cuModuleUnload(object* module) {
  called("cuModuleUnload", "");
  release(module, module_magic);
  return 0;
}
int cuModuleGetFunction(object** function, object* module, const char* name) {
  CALLED("cuModuleGetFunction", "");
  *function = make(function_magic, current());
  (*function)->number = checked(module, module_magic)->number;
  snprintf((*function)->name, sizeof(*function)->name, "%s", name);
  return 0;
}
int cuModuleGetGlobal(uint64_t* address, size_t* bytes, object* module, const char* name) {
  (void)address, (void)bytes, (void)module, (void)name;
  return 500;
}

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  char text[32];
  require(!capturing, "memory is allocated while a stream is recorded");
  snprintf(text, sizeof text, "%zu", bytes);
  CALLED("cuMemAlloc_v2", text);
  if (bytes == 0 || used + bytes > setting("STAND_IN_MEMORY", 1u << 30)) return out_of_memory;
  allocation* made = malloc(sizeof *made);
  require(made != NULL, "out of memory");
  *made = (allocation){next_address, bytes, current(), allocations};
  allocations = made;
  used += bytes;
  *address = made->start;
  next_address += (bytes + 4096) / 512 * 512;
  return 0;
}
int cuMemFree_v2(uint64_t address) {
  called("cuMemFree_v2", "");
  for (allocation** at = &allocations; *at; at = &(*at)->next) {
    allocation* a = *at;
    if (a->start != address) continue;
    require(a->context == current(), "memory of another context is freed");
    used -= a->bytes;
    *at = a->next;
    free(a);
    return 0;
  }
  require(0, "memory is freed that was not allocated");
  return 0;
}
int cuPointerGetAttribute(void* result, int query, uint64_t address) {
  if (query == 1) *(object**)result = holding(address, 1)->context;
  return 0;
}

int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, object* stream) {
  char text[32];
  snprintf(text, sizeof text, "%zu", bytes);
  require(value == 0 && !capturing, "memory is filled with something, or while a stream is recorded");
  checked(stream, stream_magic);
  holding(address, bytes);
  CALLED("cuMemsetD8Async", text);
  return 0;
}

static int copied(const char* name, const void* host, uint64_t address, uint64_t bytes) {
  char text[32];
  require(host != NULL, "a copy from or to nowhere");
  require(!capturing, "a copy while a stream is recorded");
  holding(address, bytes);
  snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
  return called(name, text);
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
  return copied("cuMemcpyHtoD_v2", from, to, bytes);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, void* from, size_t bytes, object* stream) {
  const int error = copied("cuMemcpyHtoDAsync_v2", from, to, bytes);
  if (!error) pend(from, bytes, 1, stream);
  return error;
}
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) {
  const int error = copied("cuMemcpyDtoH_v2", to, from, bytes);
  if (!error) memset(to, 0, bytes);
  return error;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, object* stream) {
  const int error = copied("cuMemcpyDtoHAsync_v2", to, from, bytes);
  if (!error) pend(to, bytes, 0, stream);
  return error;
}
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  holding(from, bytes);
  return copied("cuMemcpyDtoD_v2", &to, to, bytes);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, object* stream) {
  checked(stream, stream_magic);
  holding(from, bytes);
  return copied("cuMemcpyDtoDAsync_v2", &to, to, bytes);
}
int cuMemcpy3D_v2(const void* copy) {
  (void)copy;
  require(0, "a copy that is not of one piece");
  return 1;
}

int cuLaunchKernel(object* function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x,
                   unsigned threads_y, unsigned threads_z, unsigned shared_bytes, object* stream, void** parameters,
                   void** extra) {
  require(blocks_x > 0 && blocks_y > 0 && blocks_z > 0 && blocks_y < 65536 && blocks_z < 65536, "a grid that is none");
  require(threads_x > 0 && threads_y > 0 && threads_z > 0 && threads_z <= 64, "a block that is none");
  require((uint64_t)threads_x * threads_y * threads_z <= 1024, "a block of more threads than there can be");
  require(shared_bytes <= 49152, "more shared memory than there is");
  require((parameters != NULL) != (extra != NULL), "arguments in both ways or in none");
  checked(function, function_magic);
  checked(stream, stream_magic); /* none in the default stream, which waits for all others */
  char text[300];
  snprintf(text, sizeof text, "%s of module %d: %u threads, %u bytes", function->name, function->number,
           threads_x * threads_y * threads_z, shared_bytes);
  CALLED("cuLaunchKernel", text);
  if (capturing == stream) captured->number++;
  return 0;
}
