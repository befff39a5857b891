// Offsets by liveness: tensors in an order, each at the lowest offset that is free during its whole life.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/program.h"

namespace resnetc {
namespace {

using Slot = MemoryPlan::Slot;

bool overlap_in_time(const Slot& a, const Slot& b) {
  return a.first_step <= b.last_step && b.first_step <= a.last_step;
}
bool share_bytes(const Slot& a, const Slot& b) {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

struct Rules {
  const Program& program;
  Device device;

  uint64_t alignment() const { return device == Device::cpu ? 64 : 512; }
  bool keep_apart(const Slot& a, const Slot& b) const {
    if (overlap_in_time(a, b)) return true;
    const TensorType &x = program.graph[a.value].type, &y = program.graph[b.value].type;
    return device != Device::cpu && x != y && (x.border != Sides{} || y.border != Sides{});
  }
};

std::vector<Slot> lifetimes(const Program& program, uint64_t alignment) {
  std::vector<Slot> slots;
  std::vector<int> slot_of(program.graph.nodes.size(), -1);
  for (size_t s = 0; s < program.steps.size(); s++) {
    for (const ProgramOperand& operand : program.steps[s].operands) {
      if (operand.kind != ProgramOperand::tensor) continue;
      int& slot = slot_of[static_cast<size_t>(operand.value)];
      if (slot < 0) {
        slot = static_cast<int>(slots.size());
        const int64_t bytes = stored_element_count(program.graph[operand.value].type) * int64_t{sizeof(float)};
        slots.push_back({operand.value, 0, (static_cast<uint64_t>(bytes) + alignment - 1) / alignment * alignment,
                         static_cast<int>(s), 0, false});
      }
      slots[static_cast<size_t>(slot)].last_step = static_cast<int>(s);
    }
  }
  return slots;
}

uint64_t lowest_free_offset(const Slot& wanted, std::vector<Slot> placed, const Rules& rules) {
  std::erase_if(placed, [&](const Slot& other) { return !rules.keep_apart(wanted, other); });
  std::sort(placed.begin(), placed.end(), [](const Slot& a, const Slot& b) { return a.offset < b.offset; });
  uint64_t offset = 0;
  for (const Slot& other : placed) {
    if (offset + wanted.bytes <= other.offset) break;
    offset = std::max(offset, other.offset + other.bytes);
  }
  return offset;
}

// The bytes that the slots take if they are placed in this order.
uint64_t place_in_order(const std::vector<Slot*>& order, const Rules& rules) {
  uint64_t arena_bytes = 0;
  std::vector<Slot> placed;
  for (Slot* slot : order) {
    slot->offset = lowest_free_offset(*slot, placed, rules);
    arena_bytes = std::max(arena_bytes, slot->offset + slot->bytes);
    placed.push_back(*slot);
  }
  return arena_bytes;
}

// Largest first. Where that leaves holes (1.32 of the lower bound on preact_resnet18), the slot that ends highest goes
// to the front and all are placed anew, some times over; the best order wins.
uint64_t place(std::vector<Slot>& slots, uint64_t lower_bound, const Rules& rules) {
  std::vector<Slot*> order;
  for (Slot& slot : slots) order.push_back(&slot);
  std::stable_sort(order.begin(), order.end(), [](const Slot* a, const Slot* b) { return a->bytes > b->bytes; });
  uint64_t best = place_in_order(order, rules);
  std::vector<Slot> best_slots = slots;
  for (int attempt = 0; attempt < 32 && best > lower_bound; attempt++) {
    const auto end = [](const Slot* slot) { return slot->offset + slot->bytes; };
    const auto highest =
        std::max_element(order.begin(), order.end(), [&](const Slot* a, const Slot* b) { return end(a) < end(b); });
    std::rotate(order.begin(), highest, highest + 1);
    const uint64_t bytes = place_in_order(order, rules);
    if (bytes >= best) continue;
    best = bytes;
    best_slots = slots;
  }
  slots = std::move(best_slots);
  return best;
}

uint64_t largest_live_sum(const std::vector<Slot>& slots, size_t step_count) {
  std::vector<uint64_t> live(step_count, 0);
  for (const Slot& slot : slots)
    for (int s = slot.first_step; s <= slot.last_step; s++) live[static_cast<size_t>(s)] += slot.bytes;
  return live.empty() ? 0 : *std::max_element(live.begin(), live.end());
}

}  // namespace

MemoryPlan plan_memory(const Program& program, Device device, int tail_step) {
  const Rules rules{program, device};
  MemoryPlan plan;
  plan.tail_step = tail_step < 0 ? static_cast<int>(program.steps.size()) : tail_step;
  // A tensor that goes from the head to the tail waits for other images' heads: it lives in the tail's part, where all
  // the others come later.
  std::vector<Slot> tail;
  for (const Slot& slot : lifetimes(program, rules.alignment()))
    (slot.last_step < plan.tail_step ? plan.slots : tail).push_back(slot);
  const auto add_part = [&](std::vector<Slot>& slots) {
    const uint64_t least = largest_live_sum(slots, program.steps.size());
    plan.largest_live_bytes += least;
    return place(slots, least, rules);
  };
  plan.tail_offset = add_part(plan.slots);
  plan.arena_bytes = plan.tail_offset + add_part(tail);
  for (Slot& slot : tail) {
    slot.offset += plan.tail_offset;
    plan.slots.push_back(slot);
  }
  std::stable_sort(plan.slots.begin(), plan.slots.end(),
                   [](const Slot& a, const Slot& b) { return a.first_step < b.first_step; });
  // A border survives a pass if all who use its bytes are laid out the same, for then they leave it zero.
  for (Slot& slot : plan.slots) {
    const TensorType& type = program.graph[slot.value].type;
    slot.border_shared =
        type.border != Sides{} && std::any_of(plan.slots.begin(), plan.slots.end(), [&](const Slot& other) {
          const bool same = slot.offset == other.offset && type == program.graph[other.value].type;
          return share_bytes(slot, other) && !same;
        });
  }
  return plan;
}

std::string print_memory_plan(const Program& program, const MemoryPlan& plan) {
  std::string text = fmt::format("# memory plan: {} bytes for a batch of one; the largest sum of live tensors is {}\n",
                                 plan.arena_bytes, plan.largest_live_bytes);
  if (plan.has_tail())
    text +=
        fmt::format("# the tail begins with step {}, its part of the arena at {}\n", plan.tail_step, plan.tail_offset);
  text += fmt::format("# {:>10} {:>10}  {:>11}  tensor\n", "offset", "bytes", "steps");
  for (size_t i = 0; i < plan.slots.size(); i++) {
    const Slot& slot = plan.slots[i];
    // Naming the tensors whose bytes this one takes over tells who overlaps whom; the nearest ones before it will do.
    std::string takes_over;
    int named = 0;
    for (size_t j = i; j-- > 0 && named < 3;)
      if (share_bytes(slot, plan.slots[j]))
        takes_over += fmt::format("{}%{}", named++ ? ", " : "", program.graph[plan.slots[j].value].name);
    text +=
        fmt::format("# {:>10} {:>10}  {:>5}-{:<5}  %{}{}{}\n", slot.offset, slot.bytes, slot.first_step, slot.last_step,
                    program.graph[slot.value].name, takes_over.empty() ? "" : "  over " + takes_over,
                    slot.border_shared ? "  border zeroed each time" : "");
  }
  return text;
}

}  // namespace resnetc
