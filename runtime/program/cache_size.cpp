#include "cache_size.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace resnetc::program {

std::size_t last_level_cache_bytes(const std::string& folder) {
  std::size_t largest = 0;
  for (int index = 0;; index++) {
    std::ifstream file(folder + "/index" + std::to_string(index) + "/size");
    std::size_t count = 0;
    char unit = ' ';
    if (!(file >> count)) break;
    file >> unit;
    const int shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
    if (count <= std::size_t{1} << 30) largest = std::max(largest, count << shift);
  }
  if (largest > 0) return largest;
  return static_cast<std::size_t>(std::max({0L, sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)}));
}

}  // namespace resnetc::program
