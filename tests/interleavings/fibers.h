// Threads that take turns where a test says so: each step of one is between two calls of turn(). A seed decides who
// goes on, so that a run can be had again.
#pragma once

#include <ucontext.h>

#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace resnetc::test {

class Fibers {
 public:
  explicit Fibers(unsigned seed) : random_(seed), stay_(2 + random(30)) {}

  // The first one's index is 0.
  int start(std::function<void()> body);
  // Until the first has ended. False if none can go on, or after so many turns.
  bool run(int most_turns);

  // By the fiber that runs: another may go on.
  void turn() { swapcontext(&fibers_[at_]->context, &scheduler_); }
  // By the fiber that runs: not before wake() with the same place.
  void sleep(const void* place);
  void wake(const void* place, int most);
  void join(int fiber);
  bool all_sleep_but_first() const;
  int random(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

 private:
  struct Fiber {
    std::function<void()> body;
    ucontext_t context = {};
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool ended = false;
    const void* sleeps_at = nullptr;
    int joins = -1;
  };
  static void enter();
  bool can_go_on(const Fiber& fiber) const;

  std::mt19937 random_;
  int stay_;  // one in so many turns is another fiber's
  std::vector<std::unique_ptr<Fiber>> fibers_;
  size_t at_ = 0;
  ucontext_t scheduler_ = {};
};

}  // namespace resnetc::test
