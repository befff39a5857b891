// The packed weights of a program in one object, as the emitted binary maps them.
#pragma once

#include <filesystem>
#include <future>
#include <vector>

#include "compiler/program.h"

namespace resnetc {

struct WeightBlob {
  struct Entry {
    int step = 0;
    size_t operand = 0;
    std::vector<int> extent;
    uint64_t offset = 0;
  };
  std::vector<Entry> entries;     // in order of step and operand
  uint64_t self_test_offset = 0;  // of the expected outputs behind the weights
};

// Packs every weight for its kernel's choice, 64-byte aligned, in the order in which a pass reads them, `jobs` at once;
// behind them what the self test expects. `file` is an object whose `symbol` they are.
WeightBlob write_weight_blob(const Program& program, const Machine& machine,
                             std::future<std::vector<float>> self_test_outputs, int jobs,
                             const std::filesystem::path& file, const std::string& symbol);

// Puts the SHA-256 of its values into every weight of the graph.
void digest_weights(Graph& graph);

}  // namespace resnetc
