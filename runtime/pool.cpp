#include "pool.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread_count.h"

namespace resnetc::runtime {
namespace {

// Kernels of one inference follow each other within microseconds; a thread that waits longer than this sleeps, so that
// an idle handle costs nothing. 2,000 pauses are some 30 to 90 us. Where threads have to share a CPU (or a quota of
// one), each pause would take time from the thread that is waited for: they sleep at once.
constexpr int most_spins = 2000;

void futex_wait(std::atomic<uint32_t>* word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>* word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Takes the next task of a share, counted from the share's own start; -1 if none is left, or the loop has ended. Shares
// are not reset before a loop, which would cost a cache miss each: a count belongs to the epoch above it.
int take(const Pool* pool, Worker* owner, uint32_t epoch, int size) {
  const uint64_t fresh = static_cast<uint64_t>(epoch) << 32;
  uint64_t seen = owner->share.load(std::memory_order_acquire);
  for (;;) {
    const bool is_own = seen >> 32 == epoch;
    if (!is_own && pool->epoch.load(std::memory_order_relaxed) != epoch) return -1;
    const uint64_t next = is_own ? seen : fresh;
    const int count = static_cast<int>(next - fresh);
    if (count >= size) return -1;
    if (owner->share.compare_exchange_weak(seen, next + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      return count;
  }
}

// The caller of a loop looks at all shares, so that no task is left when it is done. If each of many threads did, the
// looks would cost more than the loop: beyond the next few it passes over twice as many each time. Most shares are then
// seen by some thread that is far away, should a whole neighbourhood be late.
int next_visit(const Worker* worker, int visit) {
  constexpr int near = 8;
  return worker->index == 0 || visit < near ? visit + 1 : 2 * visit;
}

uint32_t wait_for_next(Pool* pool, uint32_t seen) {
  for (int i = 0; i < pool->spins; i++) {
    const uint32_t epoch = pool->epoch.load(std::memory_order_acquire);
    if (epoch != seen) return epoch;
    __builtin_ia32_pause();
  }
  for (;;) {
    pool->sleepers.fetch_add(1);
    const uint32_t epoch = pool->epoch.load();
    if (epoch != seen) return epoch;
    futex_wait(&pool->epoch, seen);
  }
}

void* thread_main(void* argument) {
  auto* worker = static_cast<Worker*>(argument);
  Pool* pool = worker->pool;
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_next(pool, seen);
    if (pool->stop.load()) return nullptr;
    const uint32_t done = run_tasks(pool, worker, seen);
    if (done > 0 && pool->remaining.fetch_sub(done) == done && pool->waiting.load()) futex_wake(&pool->remaining, 1);
  }
}

void wait_for_all(Pool* pool) {
  for (int i = 0; i < pool->spins; i++) {
    if (pool->remaining.load(std::memory_order_acquire) == 0) return;
    __builtin_ia32_pause();
  }
  pool->waiting.store(1);
  for (uint32_t left = pool->remaining.load(); left != 0; left = pool->remaining.load())
    futex_wait(&pool->remaining, left);
  pool->waiting.store(0);
}

// The epoch of the next loop. Where they begin again, a count that is older than all of them could be taken for a new
// one. So there all counts are set to what none was before, for a worker may be about to exchange one that it has read;
// and under an empty loop, for a worker that is late must not take them for earlier counts than its own.
uint32_t next_epoch(Pool* pool) {
  const uint32_t epoch = pool->epoch.load(std::memory_order_relaxed) + 1;
  if (epoch != 0) return epoch;
  pool->loops[0].size.store(0, std::memory_order_release);
  pool->epoch.store(0);
  pool->cycles++;
  for (int i = 0; i < pool->threads; i++) pool->workers[i].share.store(pool->cycles);
  return 1;
}

// Sleepers are woken once, not in each loop until they are awake: the count goes back to 0. But it does not where it
// has grown since before the epoch was raised. A worker may have done all of this loop by now and be about to sleep
// until the next: this wake comes too early for it, and the next one has to find it counted.
void publish(Pool* pool, uint32_t epoch) {
  int earlier = pool->sleepers.load();
  pool->epoch.store(epoch);
  if (pool->sleepers.load() == 0) return;
  pool->sleepers.compare_exchange_strong(earlier, 0);
  futex_wake(&pool->epoch, pool->threads);
}

}  // namespace

uint32_t run_tasks(Pool* pool, Worker* worker, uint32_t epoch) {
  Loop& loop = pool->loops[epoch % 2];
  const Task task = loop.task.load(std::memory_order_acquire);
  uint8_t* closure = loop.closure.load(std::memory_order_acquire);
  const int first = loop.first.load(std::memory_order_acquire);
  const int64_t size = loop.size.load(std::memory_order_acquire), threads = pool->threads;
  if (pool->epoch.load(std::memory_order_relaxed) != epoch) return 0;
  uint32_t done = 0;
  worker->in_task = true;
  for (int visit = 0; visit < pool->threads; visit = next_visit(worker, visit)) {
    const int index = worker->index + visit - (worker->index + visit < pool->threads ? 0 : pool->threads);
    const int begin = static_cast<int>(size * index / threads), end = static_cast<int>(size * (index + 1) / threads);
    if (begin == end) continue;  // its count may be of long ago
    for (int i = take(pool, &pool->workers[index], epoch, end - begin); i >= 0;
         i = take(pool, &pool->workers[index], epoch, end - begin), done++) {
      const int status = task(worker, first + begin + i, closure);
      int none = 0;
      if (status != 0) pool->status.compare_exchange_strong(none, status, std::memory_order_relaxed);
    }
  }
  worker->in_task = false;
  return done;
}

void set_error(Pool* pool, const char* text) {
  const char* none = nullptr;
  pool->error.compare_exchange_strong(none, text);
}

int pool_start(Pool* pool, Worker* workers, int threads, size_t scratch_bytes) {
  pool->workers = workers;
  pool->threads = threads;
  pool->scratch_bytes = scratch_bytes;
  pool->spins = threads <= default_thread_count() ? most_spins : 0;
  pool->started = 1;
  for (int i = 0; i < threads; i++) workers[i].pool = pool, workers[i].index = i;
  for (; pool->started < threads; pool->started++)
    if (pthread_create(&workers[pool->started].thread, nullptr, thread_main, &workers[pool->started]) != 0) break;
  return pool->started;
}

void pool_stop(Pool* pool) {
  pool->stop.store(true);
  publish(pool, next_epoch(pool));
  for (int i = 1; i < pool->started; i++) pthread_join(pool->workers[i].thread, nullptr);
}

}  // namespace resnetc::runtime

// ---- Halide's hooks. The library keeps them local, so that several models link into one program.

using resnetc::runtime::Loop;
using resnetc::runtime::Pool;
using resnetc::runtime::set_error;
using resnetc::runtime::Task;
using resnetc::runtime::Worker;

extern "C" {

int halide_do_par_for(void* user_context, Task task, int min, int size, uint8_t* closure) {
  auto* worker = static_cast<Worker*>(user_context);
  Pool* pool = worker->pool;
  if (size <= 1 || pool->threads == 1 || worker->in_task) {
    for (int i = min; i < min + size; i++) {
      const int status = task(user_context, i, closure);
      if (status != 0) return status;
    }
    return 0;
  }
  const uint32_t epoch = resnetc::runtime::next_epoch(pool);
  Loop& loop = pool->loops[epoch % 2];
  loop.task.store(task, std::memory_order_release);
  loop.closure.store(closure, std::memory_order_release);
  loop.first.store(min, std::memory_order_release);
  loop.size.store(size, std::memory_order_release);
  pool->status.store(0, std::memory_order_relaxed);
  pool->remaining.store(static_cast<uint32_t>(size), std::memory_order_relaxed);
  resnetc::runtime::publish(pool, epoch);
  const uint32_t done = resnetc::runtime::run_tasks(pool, worker, epoch);
  if (pool->remaining.fetch_sub(done) != done) resnetc::runtime::wait_for_all(pool);
  return pool->status.load(std::memory_order_relaxed);
}

// Scratch is a stack of blocks. Each begins with a head; one that is freed before those above it goes with them.
struct alignas(64) BlockHead {
  size_t before;  // where the block below begins
  bool freed;
};

void* halide_malloc(void* user_context, size_t bytes) {
  auto* worker = static_cast<Worker*>(user_context);
  const size_t rounded = sizeof(BlockHead) + (bytes + 127) / 64 * 64;
  if (rounded > worker->pool->scratch_bytes - worker->used) return nullptr;
  char* block = worker->scratch + worker->used;
  *reinterpret_cast<BlockHead*>(block) = {worker->last, false};
  worker->last = worker->used;
  worker->used += rounded;
  return block + sizeof(BlockHead);
}

void halide_free(void* user_context, void* pointer) {
  if (!pointer) return;
  auto* worker = static_cast<Worker*>(user_context);
  reinterpret_cast<BlockHead*>(static_cast<char*>(pointer) - sizeof(BlockHead))->freed = true;
  while (worker->used > 0) {
    const auto* head = reinterpret_cast<const BlockHead*>(worker->scratch + worker->last);
    if (!head->freed) break;
    worker->used = worker->last;
    worker->last = head->before;
  }
}

int halide_error_out_of_memory(void* user_context) {
  set_error(static_cast<Worker*>(user_context)->pool, "a kernel asked for more scratch memory than was planned");
  return -11;
}

void halide_error(void* user_context, const char* text) {
  if (!user_context) return;
  Pool* pool = static_cast<Worker*>(user_context)->pool;
  if (!pool->message) {
    set_error(pool, "a kernel reported an error");
  } else if (!pool->error) {
    size_t length = 0;
    while (length + 1 < pool->message_bytes && text[length] != '\0') length++;
    while (length > 0 && text[length - 1] == '\n') length--;
    memcpy(pool->message, text, length);
    pool->message[length] = '\0';
    set_error(pool, pool->message);
  }
}
}
