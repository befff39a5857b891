// The C text that is emitted for a model: its header and its driver, tables that runtime/ interprets.
#pragma once

#include <string>

#include "compiler/model.h"
#include "compiler/program.h"
#include "compiler/weight_blob.h"

namespace resnetc {

struct DriverInputs {
  const Model& model;
  const Program& program;
  const MemoryPlan& plan;
  const WeightBlob& blob;
  const Machine& machine;
  bool fallback;  // to kernels for the CPU
  uint64_t scratch_bytes;
  uint64_t self_test_seed;
};

// The model's name as a C prefix: '-' becomes '_'.
std::string c_prefix(const std::string& model_name);

// As it was compiled for; without a fallback what the CPU beside a device can do is nothing that a program asks for.
std::string program_target(const Machine& machine, bool fallback);

std::string version_text();  // "resnetc 0.1.0, Halide 21.0.0"

std::string emit_header(const DriverInputs& inputs);
std::string emit_driver(const DriverInputs& inputs);

// By which the driver knows the weight blob.
std::string weights_symbol(const std::string& prefix);

}  // namespace resnetc
