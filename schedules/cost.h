// What the strategies' estimates share: a small model of how long one image takes on machine.threads threads with
// weights that come from memory, as they do in a net. Cycles are those of one core. The constants are Zen 3's at
// 3.2 GHz; estimates only rank candidates.
#pragma once

#include "schedules/key.h"
#include "schedules/machine.h"

namespace resnetc {

// Cycles until all threads have finished `cycles` cycles of work that are split into equal tasks; with several tasks,
// the start of the parallel loop included.
double parallel_cycles(double cycles, int tasks, const Machine& machine);

// Cycles until so many bytes have come from memory, read by so many threads.
double memory_cycles(double bytes, int threads);

// Cycles of one core to read or write so many bytes of activations, which lie in the second or third-level cache.
double cache_cycles(double bytes);

// Cycles that reading takes longer where other cores have written their parts of so many bytes shortly before.
double handed_over_cycles(double bytes, const Machine& machine);

// Arithmetic with memory traffic beside it: prefetching hides most of the shorter one.
double overlapped_cycles(double arithmetic, double memory);

// Of a kernel that does little but read its operands and write its result, once each.
double traffic_cycles(const KernelKey& key, const Machine& machine);

}  // namespace resnetc
