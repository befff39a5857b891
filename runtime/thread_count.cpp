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

// The quota of one cgroup folder in CPUs, or `most` without one: cpu.max of version 2, "quota period", or the two files
// of version 1, whose folders lie under "/cpu".
int quota(const char* root, bool version_one, const char* folder, int most) {
  char path[1024], text[64];
  const auto read = [&](const char* name) {
    const int length =
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s/%s", root, version_one ? "/cpu" : "", folder, name);
    return length > 0 && length < static_cast<int>(sizeof path) && read_text(path, text, sizeof text);
  };
  long long allowed = 0, period = 0;
  if (version_one) {
    if (!read("cpu.cfs_quota_us") || sscanf(text, "%lld", &allowed) != 1) return most;
    if (!read("cpu.cfs_period_us") || sscanf(text, "%lld", &period) != 1) return most;
  } else if (!read("cpu.max") || sscanf(text, "%lld %lld", &allowed, &period) != 2) {
    return most;
  }
  if (allowed <= 0 || period <= 0) return most;
  const long long cpus = allowed / period + (allowed % period != 0);
  return cpus < most ? static_cast<int>(cpus) : most;
}

// Of a line "number:controllers:folder" of /proc/self/cgroup that is of version 2, without controllers, or of version 1
// with the controller cpu, its folder; NULL for another line.
char* folder_of(char* line, bool* version_one) {
  char* controllers = strchr(line, ':');
  char* folder = controllers ? strchr(controllers + 1, ':') : nullptr;
  if (!folder || folder[1] != '/') return nullptr;
  *folder++ = '\0';
  *version_one = *++controllers != '\0';
  if (!*version_one) return folder;
  char* rest = nullptr;
  for (char* name = strtok_r(controllers, ",", &rest); name; name = strtok_r(nullptr, ",", &rest))
    if (strcmp(name, "cpu") == 0) return folder;
  return nullptr;
}

}  // namespace

int capped_by_quota(const char* root, int cpus) {
  // What is mounted may be the part that a container sees, and the folder's name be that outside.
  cpus = quota(root, true, "", quota(root, false, "", cpus));
  char path[512], text[8192];
  const int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  if (length < 0 || length >= static_cast<int>(sizeof path) || !read_text(path, text, sizeof text)) return cpus;
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line; line = strtok_r(nullptr, "\n", &rest)) {
    bool version_one = false;
    char* folder = folder_of(line, &version_one);
    // Each folder above it may set a limit too.
    for (char* slash = folder ? strrchr(folder, '/') : nullptr; slash && folder[1] != '\0';
         slash = strrchr(folder, '/')) {
      cpus = quota(root, version_one, folder, cpus);
      if (slash == folder) break;
      *slash = '\0';
    }
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
