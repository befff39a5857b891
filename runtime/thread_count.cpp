#include "thread_count.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace resnetc::runtime {
namespace {

// The start of a file as text, at most bytes - 1 of it; false without one.
bool read_text(const char* path, char* text, size_t bytes) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t length = read(file, text, bytes - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = '\0';
  return true;
}

// The quota of one cgroup folder in CPUs, or `most` without one.
int quota(const char* root, const char* folder, int most) {
  char path[1024], text[64];
  const int length = snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, folder);
  if (length < 0 || length >= static_cast<int>(sizeof path) || !read_text(path, text, sizeof text)) return most;
  long long allowed = 0, period = 0;
  if (sscanf(text, "%lld %lld", &allowed, &period) != 2 || allowed <= 0 || period <= 0) return most;
  const long long cpus = allowed / period + (allowed % period != 0);
  return cpus < most ? static_cast<int>(cpus) : most;
}

}  // namespace

int capped_by_quota(const char* root, int cpus) {
  cpus = quota(root, "", cpus);
  // The folder of this process, "0::/path" in cgroup v2; each folder above it may set a limit too.
  char path[512], text[512];
  const int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  if (length < 0 || length >= static_cast<int>(sizeof path) || !read_text(path, text, sizeof text)) return cpus;
  char* folder = strstr(text, "0::/");
  if (!folder) return cpus;
  folder += 3;
  folder[strcspn(folder, "\n")] = '\0';
  for (char* slash = strrchr(folder, '/'); slash && folder[1] != '\0'; slash = strrchr(folder, '/')) {
    cpus = quota(root, folder, cpus);
    if (slash == folder) break;
    *slash = '\0';
  }
  return cpus;
}

int default_thread_count() {
  cpu_set_t set;
  int cpus = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cpus = CPU_COUNT(&set);
  } else if (sysconf(_SC_NPROCESSORS_ONLN) > 0) {
    cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }
  cpus = capped_by_quota("", cpus);
  return cpus < 1 ? 1 : cpus;
}

}  // namespace resnetc::runtime
