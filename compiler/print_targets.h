#pragma once

namespace resnetc {

// `resnetc targets`: what this machine is, its measured peak and bandwidth, and what can be compiled for.
void print_targets();

// `resnetc targets --devices`: the devices that programs for a GPU find on this machine, by API and number.
void print_devices();

}  // namespace resnetc
