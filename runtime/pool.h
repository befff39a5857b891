/* A pool of threads per handle, and the scratch memory of each. Halide's hooks receive a worker as user context. */
#ifndef RESNETC_RUNTIME_POOL_H
#define RESNETC_RUNTIME_POOL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace resnetc::runtime {

struct Pool;

struct alignas(64) Worker {
  Pool* pool;
  int index;      // 0 is the caller's thread
  bool in_task;   // a parallel loop inside a task runs on its own thread
  char* scratch;  // 64-byte aligned
  size_t used;    // bytes of scratch that are handed out
  size_t last;    // where in scratch the last block begins that is handed out
  pthread_t thread;

  // The next task of this worker's share of a loop, below the loop's epoch: 0 tasks are taken while it names another.
  alignas(64) std::atomic<uint64_t> share;
};

using Task = int (*)(void* user_context, int index, uint8_t* closure);

struct Pool {
  Worker* workers;  // `threads` of them
  int threads;
  int started;  // threads that run, the caller's included
  int spins;    // looks for work, or for the end of a loop, before a thread sleeps
  size_t scratch_bytes;
  const char* error;  // the first error of a kernel: static text, or else `message`
  char* message;      // where the text of an error goes; NULL but for devices, whose pool has one thread
  size_t message_bytes;

  // The parallel loop at hand. A loop is published by raising `epoch`; each worker takes part in every loop once. Each
  // starts with its share, the index-th of `threads` runs of tasks: the next kernel's rows are then mostly those that
  // the same core has written. A worker that is done takes from the others' shares.
  Task task;
  uint8_t* closure;
  int first, size;
  alignas(64) std::atomic<int> status;
  alignas(64) std::atomic<uint32_t> epoch;
  std::atomic<int> sleepers;
  alignas(64) std::atomic<uint32_t> remaining;
  std::atomic<int> waiting;
  std::atomic<bool> stop;
};

// Fills the pool and starts threads - 1 threads. workers: zeroed memory for `threads` of them, each with its scratch
// set. Returns the number of threads that could be started, the caller's included.
int pool_start(Pool* pool, Worker* workers, int threads, size_t scratch_bytes);
void pool_stop(Pool* pool);

}  // namespace resnetc::runtime

#endif
