// Prefetches the weights that a task reads next while it computes. Otherwise each block of output channels waits for
// its weights in its first register tile, which takes as long as memory does: on Zen 3, weights cold, two threads, 1x1
// layers of 7x7 pixels reached 77 % of the peak without and 90 % with it, of 14x14 90 and 94 %.
#pragma once

#include <Halide.h>

#include <functional>
#include <string>

namespace resnetc {

// The value of the loop around it whose name holds this text; 0 if there is none, for one of a single iteration is
// gone.
using LoopValue = std::function<Halide::Expr(const std::string& part_of_name)>;

struct WeightPrefetch {
  // All by a part of the loops' names. One iteration of the loop `scope` prefetches `lines` cache lines, in even steps
  // at the beginnings of the iterations of `place`, a loop inside of it. Nothing if either is gone.
  std::string scope, place;
  int lines = 0;
  // The cache line, counted from the start of the pipeline's buffer "weight", which is the nth of them. May lie past
  // its end, where the next kernel's weights begin.
  std::function<Halide::Expr(const LoopValue& loop, const Halide::Expr& nth)> line;
  // Times that `place` stands in the body of `scope`, one behind the other, where a loop around it is unrolled.
  int copies = 1;
};

inline constexpr int floats_of_line = 16;

// Adds a lowering pass to the pipeline. Returns what KernelPipeline::passes must say of it.
std::string prefetch_weights(Halide::Pipeline& pipeline, WeightPrefetch prefetch);

}  // namespace resnetc
