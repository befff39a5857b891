/* How many threads to use where nobody says. */
#ifndef RESNETC_RUNTIME_THREAD_COUNT_H
#define RESNETC_RUNTIME_THREAD_COUNT_H

namespace resnetc::runtime {

// The CPUs that this process may use: the affinity mask, capped by the cgroup's CPU quota.
int default_thread_count();

}  // namespace resnetc::runtime

#endif
