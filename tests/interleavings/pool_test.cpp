// The pool's own code on fibers instead of threads: before each of its atomic operations and calls of the kernel
// another may go on. What real threads do once in a thousand runs of a program, such as to sleep through a wake, these
// do often.
#include <doctest/doctest.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "runtime/thread_count.h"
#include "tests/interleavings/fibers.h"

namespace resnetc::test {

Fibers* fibers;

// x86's order of memory is but little weaker than one after the other, and the pool's stores before which loads must
// not move are of the strongest order: operations take place one after the other here.
template <class T>
class InTurn {
 public:
  T load(std::memory_order = std::memory_order_seq_cst) const {
    fibers->turn();
    return value_;
  }
  operator T() const { return load(); }
  void store(T value, std::memory_order = std::memory_order_seq_cst) { exchange(value); }
  T exchange(T value) {
    fibers->turn();
    return std::exchange(value_, value);
  }
  T fetch_add(T value) {
    fibers->turn();
    return std::exchange(value_, value_ + value);
  }
  T fetch_sub(T value) {
    fibers->turn();
    return std::exchange(value_, value_ - value);
  }
  template <class... Order>
  bool compare_exchange_strong(T& expected, T value, Order...) {
    fibers->turn();
    if (value_ == expected) {
      value_ = value;
      return true;
    }
    expected = value_;
    return false;
  }
  template <class... Order>
  bool compare_exchange_weak(T& expected, T value, Order...) {
    if (fibers->random(16) > 0) return compare_exchange_strong(expected, value);
    expected = load();
    return false;
  }

 private:
  T value_{};
};

}  // namespace resnetc::test

namespace {

using resnetc::test::fibers;
using resnetc::test::InTurn;

long kernel_call(long, uint32_t* word, int operation, uint32_t value, void*, void*, int) {
  fibers->turn();
  if (operation == FUTEX_WAKE_PRIVATE)
    fibers->wake(word, static_cast<int>(value));
  else if (*word == value && fibers->random(64) > 0)  // else it returned without reason, as it may
    fibers->sleep(word);
  return 0;
}

int start_fiber(pthread_t* thread, const void*, void* (*body)(void*), void* argument) {
  *thread = static_cast<pthread_t>(fibers->start([=] { body(argument); }));
  return 0;
}

int join_fiber(pthread_t thread, void*) {
  fibers->join(static_cast<int>(thread));
  return 0;
}

}  // namespace

namespace std {
template <class T>
using in_turn = resnetc::test::InTurn<T>;
}

#define atomic in_turn
#define syscall kernel_call
#define pthread_create start_fiber
#define pthread_join join_fiber
#include "runtime/pool.cpp"
#undef atomic
#undef syscall
#undef pthread_create
#undef pthread_join

int resnetc::runtime::default_thread_count() {
  return 64;
}

namespace {

using namespace resnetc::runtime;

// A task that waits until all of a loop have begun: no thread may be asleep.
struct Meeting {
  InTurn<uint32_t> begun;
  uint32_t threads;
};
int meet(void*, int, uint8_t* closure) {
  auto* meeting = reinterpret_cast<Meeting*>(closure);
  const uint32_t all = (meeting->begun.fetch_add(1) / meeting->threads + 1) * meeting->threads;
  while (meeting->begun.load() < all) {
  }
  return 0;
}

int count(void*, int index, uint8_t* closure) {
  fibers->turn();
  reinterpret_cast<int*>(closure)[index]++;
  fibers->turn();
  return 0;
}

// Loops of some tasks each, as often as each seed says. What went wrong, or "".
const char* problem_of(unsigned seed, int threads) {
  resnetc::test::Fibers own(seed);
  fibers = &own;
  static std::array<Worker, 4> workers;
  static Pool pool;
  workers = {};
  pool = {};
  bool each_once = true;
  own.start([&] {
    pool_start(&pool, workers.data(), threads, 0);
    pool.spins = own.random(3);
    if (own.random(4) == 0) {  // epochs are about to begin again: no worker has stood still since the first
      pool.epoch.store(UINT32_MAX - static_cast<uint32_t>(1 + own.random(2)));
      own.wake(&pool.epoch, threads);
      while (!own.all_sleep_but_first()) own.turn();
    }
    Meeting meeting{{}, static_cast<uint32_t>(threads)};
    for (int loops = 1 + own.random(12); loops > 0; loops--) {
      if (own.random(2) == 0) {
        halide_do_par_for(workers.data(), meet, 0, threads, reinterpret_cast<uint8_t*>(&meeting));
        continue;
      }
      std::array<int, 5> calls = {};
      const int tasks = 2 + own.random(4);
      halide_do_par_for(workers.data(), count, 0, tasks, reinterpret_cast<uint8_t*>(calls.data()));
      for (int i = 0; i < 5; i++) each_once = each_once && calls[static_cast<size_t>(i)] == (i < tasks);
    }
    pool_stop(&pool);
  });
  if (!own.run(100'000)) return "the loops do not end";
  return each_once ? "" : "a task was not run once";
}

}  // namespace

TEST_CASE("however threads take turns, loops end, each task is run once, and no thread sleeps through a loop") {
  for (int threads = 2; threads <= 4; threads++)
    for (unsigned seed = 0; seed < 8'000; seed++) {
      const std::string problem = problem_of(seed, threads);
      if (problem.empty()) continue;
      INFO(threads << " threads, seed " << seed);
      REQUIRE(problem == "");
    }
}
