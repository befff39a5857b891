#include "runtime/pool.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace resnetc::runtime;

extern "C" {
int halide_do_par_for(void* user_context, Task task, int min, int size, uint8_t* closure);
int halide_error_out_of_memory(void* user_context);
void halide_error(void* user_context, const char* text);
}

namespace {

struct StartedPool {
  explicit StartedPool(int threads) : workers(static_cast<size_t>(threads)) {
    REQUIRE(pool_start(&pool, workers.data(), threads, 0) == threads);
  }
  ~StartedPool() { pool_stop(&pool); }
  int run(Task task, int min, int size, void* closure) {
    return halide_do_par_for(workers.data(), task, min, size, static_cast<uint8_t*>(closure));
  }
  std::vector<Worker> workers;
  Pool pool{};
};

// A pool whose other threads never come.
struct DesertedPool {
  explicit DesertedPool(int threads) : workers(static_cast<size_t>(threads)) {
    pool.workers = workers.data();
    pool.threads = threads;
    for (Worker& worker : workers) worker.pool = &pool;
    for (int i = 0; i < threads; i++) workers[static_cast<size_t>(i)].index = i;
  }
  std::vector<Worker> workers;
  Pool pool{};
};

struct Counts {
  std::array<std::atomic<int>, 64> calls{};
  bool is_once(int begin, int end) const {
    for (int i = 0; i < 64; i++)
      if (calls[static_cast<size_t>(i)] != (i >= begin && i < end)) return false;
    return true;
  }
};

int count(void*, int index, uint8_t* closure) {
  reinterpret_cast<Counts*>(closure)->calls[static_cast<size_t>(index)]++;
  return 0;
}

int fail_at_three(void*, int index, uint8_t*) {
  return index == 3 ? -7 : 0;
}

int count_inside(void* user_context, int index, uint8_t* closure) {
  return halide_do_par_for(user_context, count, 8 * index, 8, closure);
}

int wait_then_count(void* user_context, int index, uint8_t* closure) {
  if (static_cast<Worker*>(user_context)->index != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return count(user_context, index, closure);
}

int fail_with_error(void* user_context, int index, uint8_t*) {
  if (index % 2 == 0) return halide_error_out_of_memory(user_context);
  halide_error(user_context, "text that goes away");
  return -3;
}

// Which worker ran each task. A task waits until as many have begun as there are threads, so that each is a worker's
// first.
struct FirstTasks {
  int threads;
  std::atomic<int> begun{0};
  std::array<int, 8> worker{};
};

int remember_worker(void* user_context, int index, uint8_t* closure) {
  auto* first = reinterpret_cast<FirstTasks*>(closure);
  first->worker[static_cast<size_t>(index)] = static_cast<Worker*>(user_context)->index;
  first->begun++;
  while (first->begun < first->threads) __builtin_ia32_pause();
  return 0;
}

}  // namespace

TEST_CASE("every task of a loop runs once, whatever the number of threads") {
  for (int threads : {1, 2, 3, 4, 5, 11, 40}) {
    StartedPool started(threads);
    for (int size = 0; size <= 40; size++) {
      for (int repeat = 0; repeat < 20; repeat++) {
        Counts counts;
        CHECK(started.run(count, 7, size, &counts) == 0);
        REQUIRE(counts.is_once(7, 7 + size));
      }
    }
  }
}

TEST_CASE("a loop inside a task runs on its thread") {
  StartedPool started(3);
  for (int repeat = 0; repeat < 200; repeat++) {
    Counts counts;
    CHECK(started.run(count_inside, 0, 8, &counts) == 0);
    REQUIRE(counts.is_once(0, 64));
  }
}

TEST_CASE("a loop does not wait for threads that are late") {
  for (int threads : {2, 3, 9, 10, 40}) {
    DesertedPool deserted(threads);
    for (int size = 2; size <= 40; size++) {
      Counts counts;
      CHECK(halide_do_par_for(deserted.workers.data(), count, 0, size, reinterpret_cast<uint8_t*>(&counts)) == 0);
      REQUIRE(counts.is_once(0, size));
    }
  }
}

TEST_CASE("a thread that comes late gets no task of a later loop") {
  DesertedPool deserted(5);
  void* caller = deserted.workers.data();
  Counts counts;
  auto* closure = reinterpret_cast<uint8_t*>(&counts);
  REQUIRE(halide_do_par_for(caller, count, 0, 5, closure) == 0);
  REQUIRE(deserted.pool.epoch == 1);
  CHECK(run_tasks(&deserted.pool, &deserted.workers[3], 1) == 0);
  REQUIRE(halide_do_par_for(caller, count, 5, 2, closure) == 0);
  // The third loop stands where the first stood, and some shares still have the first one's count.
  const auto come_late = [](void* user_context, int index, uint8_t* counts_of_tasks) {
    Pool* pool = static_cast<Worker*>(user_context)->pool;
    const uint32_t done = run_tasks(pool, &pool->workers[3], 1) + run_tasks(pool, &pool->workers[3], 2);
    return done == 0 ? count(user_context, index, counts_of_tasks) : -1;
  };
  CHECK(halide_do_par_for(caller, come_late, 7, 50, closure) == 0);
  CHECK(counts.is_once(0, 57));
}

TEST_CASE("threads that come late find each loop ended or do its tasks") {
  // More threads than most machines have CPUs, and loops that end before some were even scheduled.
  StartedPool started(12);
  int sum = 0;
  for (int repeat = 0; repeat < 20000; repeat++) {
    Counts counts;
    const int size = 2 + repeat % 24;
    started.run(count, 0, size, &counts);
    sum += counts.is_once(0, size) ? 1 : 0;
  }
  CHECK(sum == 20000);
}

TEST_CASE("threads that sleep are woken for a loop, and for the end") {
  for (int threads : {2, 4}) {
    StartedPool started(threads);
    for (int repeat = 0; repeat < 20; repeat++) {
      while (started.pool.sleepers.load() < threads - 1) std::this_thread::yield();
      FirstTasks first{threads};  // whose tasks wait for all threads
      CHECK(started.run(remember_worker, 0, threads, &first) == 0);
    }
    while (started.pool.sleepers.load() < threads - 1) std::this_thread::yield();
  }
}

TEST_CASE("a caller that sleeps is woken at the end of a loop") {
  for (int threads : {2, 4}) {
    StartedPool started(threads);
    for (int repeat = 0; repeat < 50; repeat++) {
      Counts counts;
      CHECK(started.run(wait_then_count, 0, 3 * threads, &counts) == 0);
      REQUIRE(counts.is_once(0, 3 * threads));
    }
  }
}

TEST_CASE("loops go on where their numbers begin again") {
  // Shares of loops of long ago, whose numbers come again: 3 tasks were taken.
  const auto age = [](std::vector<Worker>& workers) {
    uint64_t epoch = 0;
    for (Worker& worker : workers) worker.share = (epoch++ << 32) + 3;
  };
  for (int threads : {2, 5, 11}) {
    DesertedPool deserted(threads);
    deserted.pool.epoch = UINT32_MAX - 5;
    age(deserted.workers);
    for (int repeat = 0; repeat < 20; repeat++) {
      Counts counts;
      // At first too few tasks for the last threads to have any.
      const int size = repeat < 6 ? 2 : 60;
      CHECK(halide_do_par_for(deserted.workers.data(), count, 0, size, reinterpret_cast<uint8_t*>(&counts)) == 0);
      REQUIRE(counts.is_once(0, size));
      REQUIRE(deserted.pool.epoch.load() != 0);
    }
    for (int repeat = 0; repeat < 4; repeat++) {
      StartedPool started(threads);
      started.pool.epoch = UINT32_MAX - 100;
      for (int i = 0; i < 200; i++) {
        Counts counts;
        CHECK(started.run(count, 0, 2 + i % 8, &counts) == 0);
        REQUIRE(counts.is_once(0, 2 + i % 8));
      }
      CHECK(started.pool.epoch.load() < 200);
    }
  }
}

TEST_CASE("each thread begins with the same task of every loop") {
  for (int threads : {2, 3, 8}) {
    StartedPool started(threads);
    for (int repeat = 0; repeat < 20; repeat++) {
      FirstTasks first{threads};
      CHECK(started.run(remember_worker, 0, threads, &first) == 0);
      for (int i = 0; i < threads; i++) CHECK(first.worker[static_cast<size_t>(i)] == i);
    }
  }
}

TEST_CASE("a loop says what a task of it returned") {
  for (int threads : {1, 2, 4}) {
    StartedPool started(threads);
    CHECK(started.run(fail_at_three, 0, 9, nullptr) == -7);
    CHECK(started.run(fail_at_three, 4, 9, nullptr) == 0);
  }
}

TEST_CASE("the first error of several threads is kept") {
  for (int repeat = 0; repeat < 200; repeat++) {
    StartedPool started(4);
    CHECK(started.run(fail_with_error, 0, 8, nullptr) != 0);
    const char* error = started.pool.error.load();
    REQUIRE(error != nullptr);
    started.run(fail_with_error, 1, 1, nullptr);
    started.run(fail_with_error, 2, 1, nullptr);
    CHECK(started.pool.error.load() == error);
  }
}
