#include "thread_count.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace resnetc::runtime {
namespace {

// The quota of one cgroup folder in CPUs, or `most` without one.
int quota(const char* folder, int most) {
  char path[512], text[64];
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return most;
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return most;
  text[length] = '\0';
  long long allowed = 0, period = 0;
  if (sscanf(text, "%lld %lld", &allowed, &period) != 2 || allowed <= 0 || period <= 0) return most;
  const long long cpus = (allowed + period - 1) / period;
  return cpus < most ? static_cast<int>(cpus) : most;
}

}  // namespace

int default_thread_count() {
  cpu_set_t set;
  int cpus = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cpus = CPU_COUNT(&set);
  } else if (sysconf(_SC_NPROCESSORS_ONLN) > 0) {
    cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }
  cpus = quota("", cpus);
  // The folder of this process, "0::/path" in cgroup v2; each folder above it may set a limit too.
  char text[512];
  const int file = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
  if (file < 0) return cpus;
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return cpus;
  text[length] = '\0';
  char* folder = strstr(text, "0::/");
  if (!folder) return cpus;
  folder += 3;
  folder[strcspn(folder, "\n")] = '\0';
  for (char* slash = strrchr(folder, '/'); slash && folder[1] != '\0'; slash = strrchr(folder, '/')) {
    cpus = quota(folder, cpus);
    if (slash == folder) break;
    *slash = '\0';
  }
  return cpus < 1 ? 1 : cpus;
}

}  // namespace resnetc::runtime
