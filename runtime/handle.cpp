#include "handle.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

namespace resnetc::runtime {

int fail(rn_model* model, int code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(model->message, sizeof model->message, format, arguments);
  va_end(arguments);
  return code;
}

void* map_pages(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace resnetc::runtime
