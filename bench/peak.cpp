#include "bench/peak.h"

#include <immintrin.h>

#include <algorithm>
#include <chrono>

namespace resnetc {
namespace {

constexpr long rounds = 4'000'000;

// Twelve chains hide a latency of four cycles at two multiply-adds a cycle. Assembly, so that no compiler helps.
__attribute__((target("avx2,fma"))) void multiply_add_256() {
  for (long i = 0; i < rounds; i++)
    __asm__ volatile(
        "vfmadd231ps %%ymm15, %%ymm14, %%ymm0\n vfmadd231ps %%ymm15, %%ymm14, %%ymm1\n vfmadd231ps %%ymm15, %%ymm14, "
        "%%ymm2\n"
        "vfmadd231ps %%ymm15, %%ymm14, %%ymm3\n vfmadd231ps %%ymm15, %%ymm14, %%ymm4\n vfmadd231ps %%ymm15, %%ymm14, "
        "%%ymm5\n"
        "vfmadd231ps %%ymm15, %%ymm14, %%ymm6\n vfmadd231ps %%ymm15, %%ymm14, %%ymm7\n vfmadd231ps %%ymm15, %%ymm14, "
        "%%ymm8\n"
        "vfmadd231ps %%ymm15, %%ymm14, %%ymm9\n vfmadd231ps %%ymm15, %%ymm14, %%ymm10\n vfmadd231ps %%ymm15, %%ymm14, "
        "%%ymm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}

__attribute__((target("avx512f"))) void multiply_add_512() {
  for (long i = 0; i < rounds; i++)
    __asm__ volatile(
        "vfmadd231ps %%zmm15, %%zmm14, %%zmm0\n vfmadd231ps %%zmm15, %%zmm14, %%zmm1\n vfmadd231ps %%zmm15, %%zmm14, "
        "%%zmm2\n"
        "vfmadd231ps %%zmm15, %%zmm14, %%zmm3\n vfmadd231ps %%zmm15, %%zmm14, %%zmm4\n vfmadd231ps %%zmm15, %%zmm14, "
        "%%zmm5\n"
        "vfmadd231ps %%zmm15, %%zmm14, %%zmm6\n vfmadd231ps %%zmm15, %%zmm14, %%zmm7\n vfmadd231ps %%zmm15, %%zmm14, "
        "%%zmm8\n"
        "vfmadd231ps %%zmm15, %%zmm14, %%zmm9\n vfmadd231ps %%zmm15, %%zmm14, %%zmm10\n vfmadd231ps %%zmm15, %%zmm14, "
        "%%zmm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}

void multiply_add_128() {
  for (long i = 0; i < rounds; i++)
    __asm__ volatile(
        "mulps %%xmm15, %%xmm0\n addps %%xmm15, %%xmm1\n mulps %%xmm15, %%xmm2\n addps %%xmm15, %%xmm3\n"
        "mulps %%xmm15, %%xmm4\n addps %%xmm15, %%xmm5\n mulps %%xmm15, %%xmm6\n addps %%xmm15, %%xmm7\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}

double best_gflops(void (*loop)(), double flop_a_round) {
  double best = 0;
  for (int i = 0; i < 7; i++) {
    const auto start = std::chrono::steady_clock::now();
    loop();
    const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, flop_a_round * static_cast<double>(rounds) / s * 1e-9);
  }
  return best;
}

}  // namespace

double measured_peak_gflops() {
  if (__builtin_cpu_supports("avx512f")) return best_gflops(multiply_add_512, 12 * 16 * 2);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return best_gflops(multiply_add_256, 12 * 8 * 2);
  return best_gflops(multiply_add_128, 8 * 4);
}

}  // namespace resnetc
