// Any number of threads computes the same bits. A schedule fixes how sums are split and a loop's tasks only who
// computes them, so one compiled kernel must give equal bits whoever runs its tasks, in whatever order.
//
// Compared bit by bit, on numbers whose sums depend on their order: one kernel, run by 1, 2, 3 and 7 threads. That for
// kernels of the schedules that are chosen for 1, 2, 3 and 7 threads (Machine::threads). Two such schedules may sum in
// different orders: they are compared on integers only, each with the reference.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/kernel_runner.h"

using namespace resnetc;

namespace {

// Shares each parallel loop out among so many threads, as runtime/pool.cpp does at first; the last share first, so that
// with one processor, too, the order is not that of one thread.
struct Workers : Halide::JITUserContext {
  explicit Workers(int n) : count(n) { handlers.custom_do_par_for = share_out; }

  using Task = int (*)(Halide::JITUserContext*, int, uint8_t*);
  static int share_out(Halide::JITUserContext* context, Task task, int min, int size, uint8_t* closure) {
    auto& workers = *static_cast<Workers*>(context);
    workers.most_tasks = std::max(workers.most_tasks, size);
    std::vector<int> status(static_cast<size_t>(workers.count), 0);
    std::vector<std::thread> threads;
    for (int w = workers.count - 1; w >= 0; w--)
      threads.emplace_back([=, count = workers.count, &own = status[static_cast<size_t>(w)]] {
        for (int i = size * w / count; i < size * (w + 1) / count; i++) own |= task(context, min + i, closure);
      });
    for (std::thread& thread : threads) thread.join();
    return std::any_of(status.begin(), status.end(), [](int s) { return s != 0; });
  }

  int count;
  int most_tasks = 0;  // of a parallel loop
};

std::vector<uint32_t> bits_of(const Tensor& tensor) {
  std::vector<uint32_t> bits;
  for (float v : tensor.values) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

// Parallel over what, and whether sums are kept between passes or weights for several strips: of each kind the best
// candidate.
std::vector<Choice> one_of_each_order(const KernelKey& key, const char* strategy, const Machine& machine) {
  std::set<std::vector<int>> orders;
  std::vector<Choice> result;
  for (const Choice& choice : strategy_named(strategy).candidates(key, machine)) {
    std::vector<int> order;
    for (const auto& [name, value] : choice.parameters) {
      if (name == "pixel_tasks" || name == "channel_groups" || name == "tile_tasks") order.push_back(value > 0);
      if (name == "passes") order.push_back(value > 1);
      if (name == "task_strips") order.push_back(value);
    }
    if (orders.insert(order).second) result.push_back(choice);
  }
  return result;
}

}  // namespace

TEST_CASE("every kernel gives the same bits with 1, 2, 3 and 7 threads") {
  const std::pair<const char*, const char*> cases[] = {
      {"conv2d_direct", "conv2d_i9x9x32b1_w128x3x3x32_w128_i9x9x128_to_i9x9x128_padding1_add_relu_f32"},
      {"conv2d_grouped", "conv2d_i15x15x64b1_w64x3x3x4_w64_to_i15x15x64_padding1_groups16_relu_f32"},
      {"conv2d_interleaved", "conv2d_i15x15x64b1_w64x3x3x4_w64_to_i15x15x64_padding1_groups16_interleave16_relu_f32"},
      {"conv2d_winograd", "conv2d_i15x15x32b1_w128x3x3x32_w128_to_i15x15x128_padding1_relu_f32"},
      {"conv2d_winograd_stride2", "conv2d_i23x23x32b1_w128x3x3x32_w128_to_i12x12x128_stride2_padding1_relu_f32"},
      {"conv2d_max_pool",
       "conv2d_i64x64x3b3_w16x7x7x3_w16_to_i16x16x16_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32"},
      {"dense", "dense_i4x4x256_w300x256_w300_to_v300_global_average1_f32"},
      {"elementwise", "scale_shift_i40x40x32_w32_w32_to_i40x40x32_relu1_f32"},
      {"max_pool", "max_pool_i80x80x32b1_to_i40x40x32_kernel3_stride2_padding1_f32"},
      {"average_pool", "average_pool_i80x80x32b1_to_i40x40x32_kernel3_stride2_padding1_f32"},
      {"global_average_pool", "global_average_pool_i8x4x64_to_v64_f32"},
      {"layout", "input_to_i128x128x3b3_f32"},
      {"layout", "output_i40x40x32b1_to_i40x40x32_f32"}};
  std::set<std::string_view> tested;
  for (const auto& [strategy, text] : cases) {
    tested.insert(strategy);
    const KernelKey key = parse_key(text);
    const std::vector<Tensor> normal = normal_operands(key, 2, 5), integers = integer_operands(key, 2, 5);
    std::set<std::string> done;
    int most_tasks = 0;
    for (const int threads : {1, 2, 3, 7}) {
      Machine machine = machine_for("host", threads);
      // So that direct convolution has passes, and Winograd room for transformed weights.
      machine.level2_bytes = std::string_view(strategy) == "conv2d_winograd" ? 1 << 21 : 1 << 15;
      for (const Choice& choice : one_of_each_order(key, strategy, machine)) {
        if (!done.insert(to_string(choice)).second) continue;
        const std::string label = fmt::format("{} {}, chosen for {} threads", text, to_string(choice), threads);
        INFO(label);
        const Halide::Callable kernel = compile_to_run(key, choice, machine);
        Workers alone(1);
        const std::vector<uint32_t> wanted = bits_of(run_compiled(kernel, key, choice, machine, normal, alone));
        for (const int count : {2, 3, 7}) {
          Workers workers(count);
          CAPTURE(count);
          CHECK(bits_of(run_compiled(kernel, key, choice, machine, normal, workers)) == wanted);
        }
        Workers workers(threads);
        CHECK(equals_reference(key, choice, integers, run_compiled(kernel, key, choice, machine, integers, workers)));
        most_tasks = std::max(most_tasks, alone.most_tasks);
      }
    }
    // A global pool is no work to share.
    const std::string label = fmt::format("{}: {} tasks at most", text, most_tasks);
    INFO(label);
    CHECK((most_tasks > 3) == (std::string_view(strategy) != "global_average_pool"));
  }
  for (const Strategy* strategy : strategies()) CHECK_MESSAGE(tested.contains(strategy->name), strategy->name);
}
