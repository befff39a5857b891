#include "tests/interleavings/fibers.h"

#include <algorithm>
#include <utility>

namespace resnetc::test {
namespace {

Fibers* running = nullptr;

}  // namespace

void Fibers::enter() {
  Fiber& own = *running->fibers_[running->at_];
  own.body();
  own.ended = true;
  for (;;) running->turn();
}

int Fibers::start(std::function<void()> body) {
  fibers_.push_back(std::make_unique<Fiber>());
  Fiber& fiber = *fibers_.back();
  fiber.body = std::move(body);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  makecontext(&fiber.context, enter, 0);
  return static_cast<int>(fibers_.size()) - 1;
}

bool Fibers::can_go_on(const Fiber& fiber) const {
  return !fiber.ended && !fiber.sleeps_at && (fiber.joins < 0 || fibers_[static_cast<size_t>(fiber.joins)]->ended);
}

bool Fibers::run(int most_turns) {
  running = this;
  for (int turns = 0; !fibers_.front()->ended; turns++) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < fibers_.size(); i++)
      if (can_go_on(*fibers_[i])) ready.push_back(i);
    if (ready.empty() || turns == most_turns) return false;
    // Now and then in any case, for one that spins waits for another.
    if (!can_go_on(*fibers_[at_]) || random(stay_) == 0)
      at_ = ready[static_cast<size_t>(random(static_cast<int>(ready.size())))];
    swapcontext(&scheduler_, &fibers_[at_]->context);
  }
  return true;
}

void Fibers::sleep(const void* place) {
  fibers_[at_]->sleeps_at = place;
  turn();
}

void Fibers::wake(const void* place, int most) {
  for (const auto& fiber : fibers_)
    if (fiber->sleeps_at == place && most-- > 0) fiber->sleeps_at = nullptr;
}

void Fibers::join(int fiber) {
  fibers_[at_]->joins = fiber;
  turn();
  fibers_[at_]->joins = -1;
}

bool Fibers::all_sleep_but_first() const {
  return std::all_of(fibers_.begin() + 1, fibers_.end(), [](const auto& fiber) { return fiber->sleeps_at; });
}

}  // namespace resnetc::test
