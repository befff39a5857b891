/* Counts what reaches malloc and mmap, from any thread and from inside libc too: digits_resnet8_run must not. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "digits_resnet8.h"

static atomic_long allocations;

/* glibc's own, so that these definitions can stand before them. */
extern void* __libc_malloc(size_t bytes);
extern void* __libc_calloc(size_t count, size_t bytes);
extern void* __libc_realloc(void* memory, size_t bytes);
extern void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  allocations++;
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  allocations++;
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, size_t bytes) {
  allocations++;
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  allocations++;
  return __libc_memalign(alignment, bytes);
}

void* memalign(size_t alignment, size_t bytes) {
  return aligned_alloc(alignment, bytes);
}

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  *memory = aligned_alloc(alignment, bytes);
  return *memory ? 0 : ENOMEM;
}

void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  allocations++;
  return (void*)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

static int check(int threads, int max_batch) {
  static float input[9 * digits_resnet8_CHANNELS * digits_resnet8_HEIGHT * digits_resnet8_WIDTH];
  static float output[9 * digits_resnet8_CLASSES];
  const int counts[] = {1, 9, 0, 3};
  digits_resnet8_model* model = NULL;
  const digits_resnet8_options options = {threads, max_batch, NULL, 0};
  const long before = allocations;
  if (digits_resnet8_create(&model, &options) != 0) return 1;
  const long created = allocations - before;
  for (int i = 0; i < 4; i++)
    if (digits_resnet8_run(model, input, counts[i], output) != 0) return 1;
  const long run = allocations - before - created;
  digits_resnet8_destroy(model);
  printf("threads %d, max_batch %d: %ld allocations by create, %ld by run\n", threads, max_batch, created, run);
  /* That create is seen to allocate shows that the counting works. */
  return created < 3 || run != 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  return check(1, 1) | check(3, 1) | check(1, 4) | check(3, 4) | check(0, 2);
}
