// Small random nets for property tests: branches, residual adds of both kinds, convolutions of all attributes, batch
// norms, ReLUs with several readers, pools, dense layers, dead ends; images or vectors as outputs.
#pragma once

#include "ir/graph.h"

namespace resnetc {

// The same graph for the same seed; it passes verify(). Its weights have the values of fill_weights(), and on inputs of
// integers from -2 to 2 every sum of evaluate() is exact, before and after batch norms are folded. wide: images have
// multiples of 16 channels, whole vectors of every target, and most convolutions are 3x3; else 1 to 8 and what is added
// to them.
Graph random_graph(unsigned seed, bool wide = false);

}  // namespace resnetc
