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

  // How many tasks of this worker's share of a loop are taken, below the loop's epoch: none while it names an earlier
  // one.
  alignas(64) std::atomic<uint64_t> share;
};

using Task = int (*)(void* user_context, int index, uint8_t* closure);

struct Loop {
  std::atomic<Task> task;
  std::atomic<uint8_t*> closure;
  std::atomic<int> first, size;
};

struct Pool {
  Worker* workers;  // `threads` of them
  int threads;
  int started;  // threads that run, the caller's included
  int spins;    // looks for work, or for the end of a loop, before a thread sleeps
  size_t scratch_bytes;
  char* message;  // where the text of an error goes; NULL but for devices, whose pool has one thread
  size_t message_bytes;

  // The parallel loop at hand is loops[epoch % 2], published by raising `epoch`; that of epoch 0 is empty. Each worker
  // begins with its share, the index-th of `threads` runs of tasks: the next kernel's rows are then mostly those that
  // the same core has written. A worker that is done takes from the others' shares.
  //
  // The loop ends when all its tasks are done, whoever did them; nobody waits for a worker that came too late for one.
  // A worker may thus look at a loop that has ended, but gets no task of it:
  // - What it read of loops[epoch % 2] counts only if the epoch is still the same afterwards, for the slot is written
  //   again only after the epoch was raised.
  // - It takes a task by exchanging a share's count: one of its own epoch below the share's size, or one of an earlier
  //   epoch, which it is if it is not of the worker's own while the pool's still is. A loop that has ended has left its
  //   own epoch and size, or a later epoch, in each share that had tasks: there the exchange fails.
  // - Counts do not come again before epochs do, after 2^32 loops, an hour or so: a worker would have to stand still so
  //   long, to the loop, between reading a count and exchanging it.
  alignas(64) Loop loops[2];
  alignas(64) std::atomic<uint32_t> epoch;
  std::atomic<int> sleepers;  // that were not woken yet
  std::atomic<bool> stop;
  uint32_t cycles;                              // how often epochs began again
  alignas(64) std::atomic<uint32_t> remaining;  // tasks of the loop that are not done
  std::atomic<int> waiting;
  alignas(64) std::atomic<int> status;  // the first of the loop that was not 0
  std::atomic<const char*> error;       // the first of a kernel, until somebody clears it: static text, or `message`
};

// Fills the pool and starts threads - 1 threads. workers: zeroed memory for `threads` of them, each with its scratch
// set. Returns the number of threads that could be started, the caller's included.
int pool_start(Pool* pool, Worker* workers, int threads, size_t scratch_bytes);
void pool_stop(Pool* pool);

// A worker's part in the loop that had this epoch: does tasks of it while there are any, and returns how many.
uint32_t run_tasks(Pool* pool, Worker* worker, uint32_t epoch);

// Keeps the text, which must be static, unless there is one already. From any thread.
void set_error(Pool* pool, const char* text);

}  // namespace resnetc::runtime

#endif
