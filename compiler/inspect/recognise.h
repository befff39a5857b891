// Which ResNet a graph is.
#pragma once

#include <string>

#include "ir/graph.h"

namespace resnetc {

// "ResNet-50 v1.5: 3 + 4 + 6 + 3 bottleneck blocks", with what else sets it apart; empty if the graph, as written and
// before any pass, is no ResNet that this knows.
std::string recognise_resnet(const Graph& graph);

}  // namespace resnetc
