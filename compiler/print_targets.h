#pragma once

namespace resnetc {

// `resnetc targets`: what this machine is, its measured peak and bandwidth, and what can be compiled for.
void print_targets();

}  // namespace resnetc
