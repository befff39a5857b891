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

// Takes the next task of a share, counted from the share's own start; -1 if none is left. Shares are not reset before a
// loop, which would cost a cache miss each: a count belongs to the epoch above it.
int take(Worker* owner, uint32_t epoch, int size) {
  const uint64_t fresh = static_cast<uint64_t>(epoch) << 32;
  uint64_t seen = owner->share.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t next = seen >> 32 == epoch ? seen : fresh;
    const int count = static_cast<int>(next - fresh);
    if (count >= size) return -1;
    if (owner->share.compare_exchange_weak(seen, next + 1, std::memory_order_relaxed)) return count;
  }
}

void run_tasks(Pool* pool, Worker* worker, uint32_t epoch) {
  worker->in_task = true;
  const int64_t size = pool->size, threads = pool->threads;
  for (int i = 0; i < pool->threads; i++) {
    const int index = (worker->index + i) % pool->threads;
    const int begin = static_cast<int>(size * index / threads), end = static_cast<int>(size * (index + 1) / threads);
    for (int task = take(&pool->workers[index], epoch, end - begin); task >= 0;
         task = take(&pool->workers[index], epoch, end - begin)) {
      const int status = pool->task(worker, pool->first + begin + task, pool->closure);
      if (status != 0) pool->status.store(status, std::memory_order_relaxed);
    }
  }
  worker->in_task = false;
}

uint32_t wait_for_next(Pool* pool, uint32_t seen) {
  for (int i = 0; i < pool->spins; i++) {
    const uint32_t epoch = pool->epoch.load(std::memory_order_acquire);
    if (epoch != seen) return epoch;
    __builtin_ia32_pause();
  }
  pool->sleepers.fetch_add(1);
  uint32_t epoch = pool->epoch.load();
  while (epoch == seen) {
    futex_wait(&pool->epoch, seen);
    epoch = pool->epoch.load();
  }
  pool->sleepers.fetch_sub(1);
  return epoch;
}

void* thread_main(void* argument) {
  auto* worker = static_cast<Worker*>(argument);
  Pool* pool = worker->pool;
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_next(pool, seen);
    if (pool->stop.load()) return nullptr;
    run_tasks(pool, worker, seen);
    if (pool->remaining.fetch_sub(1) == 1 && pool->waiting.load()) futex_wake(&pool->remaining, 1);
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

uint32_t publish(Pool* pool) {
  const uint32_t epoch = pool->epoch.fetch_add(1) + 1;
  if (pool->sleepers.load() > 0) futex_wake(&pool->epoch, pool->threads);
  return epoch;
}

}  // namespace

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
  publish(pool);
  for (int i = 1; i < pool->started; i++) pthread_join(pool->workers[i].thread, nullptr);
}

}  // namespace resnetc::runtime

// ---- Halide's hooks. The library keeps them local, so that several models link into one program.

using resnetc::runtime::Pool;
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
  pool->task = task;
  pool->closure = closure;
  pool->first = min;
  pool->size = size;
  pool->status.store(0, std::memory_order_relaxed);
  pool->remaining.store(static_cast<uint32_t>(pool->threads - 1), std::memory_order_relaxed);
  const uint32_t epoch = resnetc::runtime::publish(pool);
  resnetc::runtime::run_tasks(pool, worker, epoch);
  resnetc::runtime::wait_for_all(pool);
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
  static_cast<Worker*>(user_context)->pool->error = "a kernel asked for more scratch memory than was planned";
  return -11;
}

void halide_error(void* user_context, const char* text) {
  if (!user_context) return;
  Pool* pool = static_cast<Worker*>(user_context)->pool;
  if (!pool->message) {
    pool->error = "a kernel reported an error";
  } else if (!pool->error) {
    size_t length = 0;
    while (length + 1 < pool->message_bytes && text[length] != '\0') length++;
    while (length > 0 && text[length - 1] == '\n') length--;
    memcpy(pool->message, text, length);
    pool->message[length] = '\0';
    pool->error = pool->message;
  }
}
}
