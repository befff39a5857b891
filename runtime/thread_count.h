/* How many threads a process can keep busy. */
#ifndef RESNETC_RUNTIME_THREAD_COUNT_H
#define RESNETC_RUNTIME_THREAD_COUNT_H

namespace resnetc::runtime {

// The CPUs that this process may use: the affinity mask, capped by the cgroup's CPU quota; at least 1. Parts of a CPU
// count as one: a quota of 1.5 CPUs lets two threads run three quarters of each period and stops them for the rest.
// Stopped so, ResNet-18 on two threads gives 155 images/s, 4.8 ms each but up to 30 ms where it is stopped; one thread
// that is never stopped 112 and 8.8 ms; 118 to 112 are left of that at a quota of 1.1 (Zen 5). Where runs are rare, the
// quota is never used up, and two threads are simply faster.
int default_thread_count();

// `cpus`, or fewer where the quota of this process's cgroup or of one above it allows less; parts of a CPU count as
// one. Cgroups of version 2 (cpu.max: "quota period" in microseconds, or "max period") and of version 1
// (cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us). Files are read below `root`, "" for the machine's own.
int capped_by_quota(const char* root, int cpus);

}  // namespace resnetc::runtime

#endif
