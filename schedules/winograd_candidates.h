// What conv2d_winograd chooses from.
#pragma once

#include "schedules/strategy.h"

namespace resnetc {

// Strategy::applies, candidates and legal.
bool winograd_applies(const KernelKey& key, const Machine& machine);
std::vector<Choice> winograd_candidates(const KernelKey& key, const Machine& machine);
bool winograd_legal(const KernelKey& key, const Choice& choice, const Machine& machine);

}  // namespace resnetc
