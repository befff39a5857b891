// A graph with its kernels chosen: one kernel for each distinct key, and the calls in order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "schedules/schedule_db.h"

namespace resnetc {

struct Kernel {
  KernelKey key;
  Choice choice;
  std::string record;  // the tuner's record that the choice comes from, as ScheduleDb::Match says; "": the default
  int64_t executed_flop = 0;
};

struct ProgramOperand {
  enum Kind { tensor, weight, caller_input, caller_output } kind = tensor;
  Value value = -1;  // of the graph; for a weight: which one
};

struct Step {
  int kernel = 0;
  std::vector<ProgramOperand> operands;  // the key's, then the result
  Value value = -1;                      // the node that this step computes
};

struct Program {
  Graph graph;
  std::vector<Kernel> kernels;  // in order of first use
  std::vector<Step> steps;
  TensorType output;  // of the graph's only output
};

// Each kernel as its nearest record says, or else by default. batch, hardware, cold: see ScheduleDb::find. Throws Error
// if a node has no kernel. The first step reads the caller's input, the last writes the caller's output.
Program select_kernels(const Graph& graph, const Machine& machine, const ScheduleDb& records = {}, int batch = 1,
                       const std::string& hardware = "", bool cold = true);

// Throws Error if no kernels for the machine read weights that are stored so.
void check_weights_storage(DType weights, const Machine& machine);

// How many kernels each source of records has chosen; "default" stands for none.
std::map<std::string, int> kernels_by_record(const Program& program);

// Where each tensor lives in the one arena, which has a part for the head of the net and one for its tail (rn_part of
// runtime/description.h). All numbers are for one image: multiply by the images that go through a part together.
struct MemoryPlan {
  struct Slot {
    Value value = -1;
    uint64_t offset = 0, bytes = 0;  // multiples of 64
    int first_step = 0, last_step = 0;
    bool border_shared = false;  // another tensor overwrites the border, so that it is zeroed before every use
  };
  std::vector<Slot> slots;  // in order of first_step
  uint64_t arena_bytes = 0;
  // The largest sum of tensors alive at one step, of each part: no plan with these parts can do with less.
  uint64_t largest_live_bytes = 0;
  // The first step of the tail, and where its part begins; the number of steps and arena_bytes where there is no tail.
  int tail_step = 0;
  uint64_t tail_offset = 0;

  bool has_tail() const { return tail_offset < arena_bytes; }
};

// On a device slots are multiples of 512, and tensors with a border share bytes only with those of the same layout, so
// that no border is ever overwritten. tail_step: the first step of the tail, negative: there is none.
MemoryPlan plan_memory(const Program& program, Device device = Device::cpu, int tail_step = -1);

// With the tail that pays on this machine (compiler/choose_tail.cpp).
MemoryPlan plan_memory(const Program& program, const Machine& machine);

// How many images of a batch go through each part of the net together. Through the head as many as the second-level
// caches of the machine's threads hold its arena of, at least one. More would send every activation through memory: on
// two cores of a Zen 3, eight images took ResNet-50 49 ms each, one after the other 41; ResNeXt-50 71 and 52. On a
// device, any number.
struct ImagesAtOnce {
  int head = 1, tail = 1;
};
ImagesAtOnce images_at_once(const MemoryPlan& plan, const Machine& machine);

// The plan as comment lines ("# …"), who overlaps whom included.
std::string print_memory_plan(const Program& program, const MemoryPlan& plan);

}  // namespace resnetc
