#include "runtime.h"

// splitmix64 (Steele, Lea and Flood 2014), the upper 24 bits as a fraction.
extern "C" void rn_self_test_input(uint64_t seed, float* values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    values[i] = static_cast<float>(static_cast<int64_t>(z >> 40) - (1 << 23)) / static_cast<float>(1 << 23);
  }
}
