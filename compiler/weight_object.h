// An ELF relocatable for x86-64 that holds nothing but a program's weights, behind one hidden symbol.
//
// The assembler's .incbin would do the same, but copies the weights twice more: of ResNet-1202's compilation, which
// moves 181 MB of them, it took 9 % of all CPU time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace resnetc {

class WeightObject {
 public:
  // Creates `file`. Every function throws Error that names it when it cannot be written.
  WeightObject(const std::filesystem::path& file, std::string symbol);

  // Returns the offset of the values from the symbol: 64-byte aligned. The symbol itself lies on a page.
  uint64_t append(const std::vector<float>& values);

  // Writes the tables of sections and symbols. The symbol's size becomes a multiple of 64.
  void finish();

 private:
  void write(const void* bytes, uint64_t count);

  std::filesystem::path path_;
  std::string symbol_;
  std::ofstream out_;
  uint64_t bytes_ = 0;  // of the symbol
};

}  // namespace resnetc
