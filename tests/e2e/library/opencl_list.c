/* Stands in for OpenCL's loader as far as devices are listed: six of them, of three platforms. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct {
  int platform;
  uint64_t type; /* CL_DEVICE_TYPE_... */
  const char* name;
} devices[] = {{0, 2, "CPU 0"}, {0, 8, "accelerator 1"}, {1, 5, "GPU 2"},
               {1, 2, "CPU 3"}, {2, 4, "GPU 4"},         {2, 16, "custom 5"}};
enum { platforms = 3, device_count = 6 };

/* A handle is the number behind it, from 1 on. */
static void* handle(int number) {
  return (void*)(intptr_t)(number + 1);
}

int32_t clGetPlatformIDs(uint32_t most, void** list, uint32_t* count) {
  for (int i = 0; i < platforms && (uint32_t)i < most; i++) list[i] = handle(i);
  *count = platforms;
  return 0;
}
int32_t clGetPlatformInfo(void* platform, uint32_t what, size_t bytes, char* value, size_t* size) {
  (void)what, (void)size;
  snprintf(value, bytes, "%c", 'A' + (int)(intptr_t)platform - 1);
  return 0;
}
int32_t clGetDeviceIDs(void* platform, uint64_t types, uint32_t most, void** list, uint32_t* count) {
  (void)types;
  *count = 0;
  for (int i = 0; i < device_count; i++)
    if (handle(devices[i].platform) == platform && *count < most) list[(*count)++] = handle(i);
  return 0;
}
int32_t clGetDeviceInfo(void* device, uint32_t what, size_t bytes, void* value, size_t* size) {
  const int number = (int)(intptr_t)device - 1;
  const uint64_t memory = (uint64_t)number << 30;
  (void)size;
  memset(value, 0, bytes);
  if (what == 0x102B) snprintf(value, bytes, "%s", devices[number].name);
  if (what == 0x101F) memcpy(value, &memory, sizeof memory);
  if (what == 0x1000) memcpy(value, &devices[number].type, sizeof devices[number].type);
  return 0;
}
int32_t clCreateContext(void) {
  return -1;
}
int32_t clCreateCommandQueue(void) {
  return -1;
}
int32_t clReleaseCommandQueue(void) {
  return -1;
}
int32_t clReleaseContext(void) {
  return -1;
}
int32_t clEnqueueFillBuffer(void) {
  return -1;
}
int32_t clCreateSubBuffer(void) {
  return -1;
}
