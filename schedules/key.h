// A kernel's key: one op with the types of its operands and its result, borders and epilogue included. Nodes with
// equal keys share one kernel. The text of a key is its C symbol, its row in benchmarks and its name in the database.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace resnetc {

struct KernelKey {
  Op op;
  std::vector<TensorType> operands;
  TensorType result;
  bool operator==(const KernelKey&) const = default;
};

// "conv2d_i56x56x64b1_w64x3x3x64_w64_i56x56x64_to_i56x56x64b1_padding1_add_relu_f32": op, operands (i: image height x
// width x channels, b: its border; v: vector; w: weight, with bf16 at its end where it is stored so), result,
// attributes that differ from their default, epilogue. f32 is what it computes in.
std::string to_string(const KernelKey& key);

// The inverse. Throws Error.
KernelKey parse_key(std::string_view text);

// Throws Error if no graph has such a node: what parse_key reads from a file is only well-formed.
void verify_key(const KernelKey& key);

// Whether all operands are stored as f32.
bool reads_f32(const KernelKey& key);

KernelKey key_of(const Graph& graph, Value value);

// Operations of one image: two for each multiply-accumulate.
int64_t flop_count(const KernelKey& key);

}  // namespace resnetc
