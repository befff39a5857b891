/* How many threads a process can keep busy. */
#ifndef RESNETC_RUNTIME_THREAD_COUNT_H
#define RESNETC_RUNTIME_THREAD_COUNT_H

namespace resnetc::runtime {

// The CPUs that this process may use: the affinity mask, capped by the cgroup's CPU quota; at least 1.
int default_thread_count();

// `cpus`, or fewer where the quota of this process's cgroup or of one above it allows less; parts of a CPU count as
// one. Cgroups of version 2 (cpu.max: "quota period" in microseconds, or "max period") and of version 1
// (cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us). Files are read below `root`, "" for the machine's own.
int capped_by_quota(const char* root, int cpus);

}  // namespace resnetc::runtime

#endif
