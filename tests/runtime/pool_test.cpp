#include "runtime/pool.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <vector>

using namespace resnetc::runtime;

extern "C" int halide_do_par_for(void* user_context, Task task, int min, int size, uint8_t* closure);

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

struct Counts {
  std::array<std::atomic<int>, 64> calls{};
};

int count(void*, int index, uint8_t* closure) {
  reinterpret_cast<Counts*>(closure)->calls[static_cast<size_t>(index)]++;
  return 0;
}

int fail_at_three(void*, int index, uint8_t*) {
  return index == 3 ? -7 : 0;
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
  for (int threads = 1; threads <= 5; threads++) {
    StartedPool started(threads);
    for (int size = 0; size <= 40; size++) {
      for (int repeat = 0; repeat < 20; repeat++) {
        Counts counts;
        CHECK(started.run(count, 7, size, &counts) == 0);
        for (int i = 0; i < 64; i++) REQUIRE(counts.calls[static_cast<size_t>(i)] == (i >= 7 && i < 7 + size ? 1 : 0));
      }
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
