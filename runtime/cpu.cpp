#include "cpu.h"

#include <cpuid.h>

#include "description.h"

namespace resnetc::runtime {
namespace {

// The register state that the operating system saves, as XGETBV(0) tells it.
uint64_t saved_state() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool all(uint32_t value, uint32_t bits) {
  return (value & bits) == bits;
}

}  // namespace

// Bits as in Intel's and AMD's manuals, CPUID leaves 1 and 7.
uint32_t cpu_features() {
  uint32_t a, b, c, d, ecx1 = 0, ebx7 = 0, ecx7 = 0, eax71 = 0, edx7 = 0;
  if (!__get_cpuid(1, &a, &b, &ecx1, &d)) return 0;
  if (__get_cpuid_count(7, 0, &a, &ebx7, &ecx7, &edx7)) {
    if (a >= 1) __get_cpuid_count(7, 1, &eax71, &b, &c, &d);
  }
  uint32_t features = ecx1 & bit_SSE4_1 ? rn_cpu_sse41 : 0;
  if (!(ecx1 & bit_OSXSAVE)) return features;
  const uint64_t state = saved_state();
  if ((state & 0x6) != 0x6 || !(ecx1 & bit_AVX)) return features;
  features |= rn_cpu_avx;
  if (ecx1 & bit_F16C) features |= rn_cpu_f16c;
  if (ecx1 & bit_FMA) features |= rn_cpu_fma;
  if (ebx7 & bit_AVX2) features |= rn_cpu_avx2;
  if ((state & 0xe6) != 0xe6 || !all(ebx7, bit_AVX512F | bit_AVX512CD)) return features;
  features |= rn_cpu_avx512;
  if (!all(ebx7, bit_AVX512VL | bit_AVX512BW | bit_AVX512DQ)) return features;
  features |= rn_cpu_avx512_skylake;
  if (!(ebx7 & bit_AVX512IFMA) || !(ecx7 & bit_AVX512VBMI)) return features;
  features |= rn_cpu_avx512_cannonlake;
  const bool bf16 = eax71 & (1u << 5);
  if (!bf16 || !all(ecx7, bit_AVX512VNNI | bit_AVX512BITALG | bit_AVX512VBMI2 | bit_AVX512VPOPCNTDQ)) return features;
  features |= rn_cpu_avx512_zen4;
  const bool avx_vnni = eax71 & (1u << 4), vp2intersect = edx7 & (1u << 8);
  if (avx_vnni && vp2intersect) features |= rn_cpu_avx512_zen5;
  return features;
}

const char* cpu_feature_name(uint32_t bits) {
  static const char* const names[] = {"SSE4.1",
                                      "AVX",
                                      "F16C",
                                      "FMA",
                                      "AVX2",
                                      "AVX-512 (F, CD)",
                                      "AVX-512 (VL, BW, DQ)",
                                      "AVX-512 (IFMA, VBMI)",
                                      "AVX-512 (VNNI, BF16)",
                                      "AVX-512 (VP2INTERSECT)"};
  for (int i = 0; i < 10; i++)
    if (bits & (1u << i)) return names[i];
  return "nothing";
}

}  // namespace resnetc::runtime
