// bfloat16, the upper half of a float32: the same exponent, seven bits of mantissa.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace resnetc {

// Exact.
inline float from_bf16(uint16_t half) {
  return std::bit_cast<float>(uint32_t{half} << 16);
}

// To nearest, ties to even. What lies beyond the largest bf16 by half a step or more becomes infinite; a NaN stays one.
inline uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline void round_to_bf16(std::vector<float>& values) {
  for (float& value : values) value = from_bf16(to_bf16(value));
}

// Whether bf16 has the value; of a NaN, whether it has these bits.
inline bool is_bf16(float value) {
  return (std::bit_cast<uint32_t>(value) & 0xffff) == 0;
}

}  // namespace resnetc
