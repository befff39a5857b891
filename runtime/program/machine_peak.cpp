#include "machine_peak.h"

#include <cpuid.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>

#include "../cpu.h"
#include "cache_size.h"
#include "error.h"
#include "print.h"
#include "samples.h"

using Task = int (*)(void* user_context, int index, std::uint8_t* closure);
extern "C" int halide_do_par_for(void* user_context, Task task, int min, int size, std::uint8_t* closure);

namespace resnetc::program {

namespace {

constexpr double seconds_each = 0.03;

// ---- the loops, in assembly, so that no compiler helps or hinders

// Some 50 us: short enough that some loops fit between what another program does.
constexpr long rounds = 1 << 15;

#define TWELVE(instruction)                                                                                \
  instruction(0) instruction(1) instruction(2) instruction(3) instruction(4) instruction(5) instruction(6) \
      instruction(7) instruction(8) instruction(9) instruction(10) instruction(11)
#define SIXTEEN(instruction) TWELVE(instruction) instruction(12) instruction(13) instruction(14) instruction(15)
#define REGISTERS                                                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"
#define FMA_512(n) "vfmadd231ps %%zmm15, %%zmm14, %%zmm" #n "\n"
#define FMA_256(n) "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #n "\n"
#define CLEAR_128(n) "xorps %%xmm" #n ", %%xmm" #n "\n"
// A multiplication and an addition in turn: the even registers are multiplied, the odd ones added.
#define PAIR_256(a, b) "vmulps %%ymm" #a ", %%ymm" #a ", %%ymm" #a "\n vaddps %%ymm" #b ", %%ymm" #b ", %%ymm" #b "\n"
#define PAIR_128(a, b) "mulps %%xmm" #a ", %%xmm" #a "\n addps %%xmm" #b ", %%xmm" #b "\n"
#define EIGHT_PAIRS(pair) pair(0, 1) pair(2, 3) pair(4, 5) pair(6, 7) pair(8, 9) pair(10, 11) pair(12, 13) pair(14, 15)

// Twelve chains hide a latency of four cycles at two multiply-adds a cycle, with room for five.
void multiply_add_512() {
  long left = rounds;
  __asm__ volatile("vzeroall\n 1:\n" TWELVE(FMA_512) "dec %0\n jnz 1b\n vzeroupper\n" : "+r"(left)::REGISTERS, "cc");
}

void multiply_add_256() {
  long left = rounds;
  __asm__ volatile("vzeroall\n 1:\n" TWELVE(FMA_256) "dec %0\n jnz 1b\n vzeroupper\n" : "+r"(left)::REGISTERS, "cc");
}

void multiply_and_add_256() {
  long left = rounds;
  __asm__ volatile("vzeroall\n 1:\n" EIGHT_PAIRS(PAIR_256) "dec %0\n jnz 1b\n vzeroupper\n"
                   : "+r"(left)::REGISTERS, "cc");
}

void multiply_and_add_128() {
  long left = rounds;
  __asm__ volatile(SIXTEEN(CLEAR_128) "1:\n" EIGHT_PAIRS(PAIR_128) "dec %0\n jnz 1b\n" : "+r"(left)::REGISTERS, "cc");
}

struct VectorLoop {
  std::uint32_t needs;
  const char* name;
  void (*run)();
  double flop;
};

// The widest that this CPU has, of those with these features.
VectorLoop vector_loop(std::uint32_t features) {
  const VectorLoop loops[] = {{rn_cpu_avx512, "AVX-512 multiply-add", multiply_add_512, 12 * 16 * 2.0 * rounds},
                              {rn_cpu_avx2 | rn_cpu_fma, "AVX2 multiply-add", multiply_add_256, 12 * 8 * 2.0 * rounds},
                              {rn_cpu_avx, "AVX", multiply_and_add_256, 16 * 8.0 * rounds},
                              {0, "SSE", multiply_and_add_128, 16 * 4.0 * rounds}};
  const std::uint32_t has = runtime::cpu_features() & features;
  return *std::find_if(std::begin(loops), std::end(loops), [&](const VectorLoop& l) { return !(l.needs & ~has); });
}

constexpr std::size_t read_task_bytes = 1 << 20;

void read_all(const std::uint8_t* from) {
  std::size_t left = read_task_bytes;
  __asm__ volatile(
      "1:\n movaps (%0), %%xmm0\n movaps 16(%0), %%xmm1\n movaps 32(%0), %%xmm2\n movaps 48(%0), %%xmm3\n"
      "movaps 64(%0), %%xmm4\n movaps 80(%0), %%xmm5\n movaps 96(%0), %%xmm6\n movaps 112(%0), %%xmm7\n"
      "add $128, %0\n sub $128, %1\n jnz 1b\n"
      : "+r"(from), "+r"(left)::REGISTERS, "cc", "memory");
}

// ---- run by the runtime's threads: a net of one step, whose kernel is a parallel loop

struct ParallelLoop {
  Task task;
  int tasks;
  std::uint8_t* closure;
  int repeats;
};

ParallelLoop current;

int parallel_loop(void** arguments) {
  void* user_context = *static_cast<void**>(arguments[0]);
  for (int i = 0; i < current.repeats; i++) {
    const int status = halide_do_par_for(user_context, current.task, 0, current.tasks, current.closure);
    if (status != 0) return status;
  }
  return 0;
}

const rn_step step = {parallel_loop, 0, 2, {{rn_operand_input, 0}, {rn_operand_output, 0}}};

const rn_description& one_step_net() {
  static const char* const name = "loop";
  static rn_description net{};
  net.name = name;
  net.channels = net.height = net.width = net.output_channels = net.output_height = net.output_width = net.has_head = 1;
  net.steps = &step;
  net.step_count = net.kernel_count = 1;
  net.kernel_keys = &name;
  net.head = {64, 1};
  net.tail_step = net.step_count;
  return net;
}

// The seconds of each loop that fits into seconds_each.
std::vector<float> loop_seconds(Model* model, const ParallelLoop& loop) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  current = loop;
  std::vector<float> seconds;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point run_start = Clock::now();
    float input = 0, output = 0;
    model->run(&input, 1, &output);
    seconds.push_back(static_cast<float>(since(run_start) / loop.repeats));
  } while (since(start) < seconds_each);
  return seconds;
}

double peak_flops(Model* model, const VectorLoop& loop) {
  const Task task = [](void*, int, std::uint8_t* closure) {
    reinterpret_cast<const VectorLoop*>(closure)->run();
    return 0;
  };
  // Several tasks a thread, for one that comes late.
  const int tasks = model->threads() * 4;
  VectorLoop copy = loop;
  return tasks * loop.flop / quantile(loop_seconds(model, {task, tasks, reinterpret_cast<std::uint8_t*>(&copy), 1}), 0);
}

// Each task waits until every thread has one.
struct Meeting {
  std::atomic<std::uint32_t> begun;
  std::uint32_t threads;
};

int meet(void*, int, std::uint8_t* closure) {
  auto* meeting = reinterpret_cast<Meeting*>(closure);
  const std::uint32_t loops_before = meeting->begun.fetch_add(1) / meeting->threads;
  const std::uint32_t all = (loops_before + 1) * meeting->threads;
  for (int looks = 0; meeting->begun.load(std::memory_order_acquire) < all; looks++) {
    if (looks > 1000) std::this_thread::yield();  // where threads share a CPU
    __builtin_ia32_pause();
  }
  return 0;
}

double hand_over_seconds(Model* model) {
  Meeting meeting{{0}, static_cast<std::uint32_t>(model->threads())};
  return quantile(loop_seconds(model, {meet, model->threads(), reinterpret_cast<std::uint8_t*>(&meeting), 20}), 0.5);
}

double read_bytes_a_second(Model* model, std::uint8_t* buffer, std::size_t size) {
  const int tasks = static_cast<int>(size / read_task_bytes);
  const Task read = [](void*, int index, std::uint8_t* closure) {
    read_all(closure + static_cast<std::size_t>(index) * read_task_bytes);
    return 0;
  };
  return static_cast<double>(size) / quantile(loop_seconds(model, {read, tasks, buffer, 1}), 0);
}

std::string cpu_name() {
  std::uint32_t words[12] = {};
  for (std::uint32_t i = 0; i < 3; i++) {
    std::uint32_t* w = &words[4 * i];
    if (!__get_cpuid(0x80000002 + i, &w[0], &w[1], &w[2], &w[3])) return "";
  }
  std::string name(reinterpret_cast<const char*>(words), sizeof words);
  name.resize(std::min(name.find('\0'), name.size()));
  const std::size_t first = name.find_first_not_of(' '), last = name.find_last_not_of(' ');
  return first == std::string::npos ? "" : name.substr(first, last - first + 1);
}

}  // namespace

MachineMeter::MachineMeter(int threads, std::uint32_t features)
    : model_(one_step_net(), threads, 1), features_(features) {
  // Four times the cache, so that little of it is still there when the buffer is read again.
  bytes_ = std::clamp(last_level_cache_bytes() * 4, std::size_t{64} << 20, std::size_t{512} << 20) / read_task_bytes *
           read_task_bytes;
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error("not enough memory to measure its bandwidth");
  madvise(memory, bytes_, MADV_HUGEPAGE);
  buffer_ = static_cast<std::uint8_t*>(memory);
  // Pages that were never written all share one page of zeros.
  const Task fill = [](void*, int index, std::uint8_t* closure) {
    std::memset(closure + static_cast<std::size_t>(index) * read_task_bytes, 1, read_task_bytes);
    return 0;
  };
  current = {fill, static_cast<int>(bytes_ / read_task_bytes), buffer_, 1};
  float input = 0, output = 0;
  model_.run(&input, 1, &output);
}

MachineMeter::~MachineMeter() {
  if (buffer_) munmap(buffer_, bytes_);
}

void MachineMeter::read() {
  const VectorLoop loop = vector_loop(features_);
  MachinePeak peak{cpu_name(), loop.name, 0, 0, 0};
  peak.flops = peak.least_flops = peak_flops(&model_, loop);
  peak.bytes = peak.least_bytes = read_bytes_a_second(&model_, buffer_, bytes_);
  peak.hand_over = hand_over_seconds(&model_);
  peak_ = peak_ ? together(*peak_, peak) : peak;
}

MachinePeak together(const MachinePeak& a, const MachinePeak& b) {
  MachinePeak both = a;
  both.flops = std::max(a.flops, b.flops);
  both.bytes = std::max(a.bytes, b.bytes);
  both.hand_over = std::min(a.hand_over, b.hand_over);
  both.readings = a.readings + b.readings;
  both.least_flops = std::min(a.least_flops, b.least_flops);
  both.least_bytes = std::min(a.least_bytes, b.least_bytes);
  return both;
}

MachinePeak machine_peak_of(const rn_device_peak& device) {
  return {device.name, "multiply-add in registers", device.flops, device.bytes, 0, 1, device.flops, device.bytes,
          true,        device.cache_bytes};
}

std::string scatter_note(const MachinePeak& peak) {
  std::string note;
  const auto add = [&](const char* what, double least, double most, double allowed, const char* unit) {
    if (least >= allowed * most) return;
    note += format("%s from %.1f to %.1f %s", note.empty() ? what : (std::string("; ") + what).c_str(), least * 1e-9,
                   most * 1e-9, unit);
  };
  add("peak", peak.least_flops, peak.flops, 0.9, "GFLOP/s");
  add("memory", peak.least_bytes, peak.bytes, 0.75, "GB/s");
  if (note.empty()) return "";
  return format("%d readings scatter, %s: something else used the machine or its host", peak.readings, note.c_str());
}

MachinePeak measure_machine(int threads) {
  MachineMeter meter(threads);
  meter.read();
  for (int i = 1; i < 5; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    meter.read();
  }
  return meter.peak();
}

}  // namespace resnetc::program
