// Winograd's transforms on Halide's expressions.
#pragma once

#include <Halide.h>

#include <vector>

#include "schedules/winograd_transforms.h"

namespace resnetc {

using WinogradTransform = std::vector<Halide::Expr> (*)(int m, const std::vector<Halide::Expr>&);

// One axis: the place-th of what the transform makes of at(0), .., at(count - 1).
template <class At>
Halide::Expr transformed(WinogradTransform transform, int m, int count, const Halide::Expr& place, const At& at) {
  return Halide::mux(place, transform(m, along(count, [&](int i) { return Halide::Expr(at(i)); })));
}

}  // namespace resnetc
