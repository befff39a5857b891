// A net whose tail takes more images at once than its head, with kernels that check what they are given.
#include <HalideRuntime.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace {

constexpr int head_images = 2, tail_images = 5;

const halide_buffer_t& buffer(void** arguments, int i) {
  return *static_cast<halide_buffer_t*>(arguments[i + 1]);
}

float& at(const halide_buffer_t& b, int x, int y, int n) {
  return reinterpret_cast<float*>(
      b.host)[(x - b.dim[1].min) * b.dim[1].stride + (y - b.dim[2].min) * b.dim[2].stride + n * b.dim[3].stride];
}

bool is_inside(int x, int y) {
  return x >= 0 && x < 2 && y >= 0 && y < 2;
}

int images(void** arguments, int i, int most) {
  const halide_buffer_t& b = buffer(arguments, i);
  const int n = b.dim[b.dimensions - 1].extent;
  return n >= 1 && n <= most ? n : -1;
}

int read_input(void** arguments) {
  const int n = images(arguments, 0, head_images);
  for (int i = 0; i < n; i++)
    for (int p = 0; p < 4; p++)
      at(buffer(arguments, 1), p % 2, p / 2, i) = reinterpret_cast<const float*>(buffer(arguments, 0).host)[p + i * 4];
  return n < 0 || images(arguments, 1, head_images) != n ? -1 : 0;
}

constexpr size_t scratch_floats = 4 * head_images;

int double_one(void*, int i, uint8_t* closure) {
  reinterpret_cast<float*>(closure)[i] *= 2;
  return 0;
}

// Into the tensor that the tail reads, through scratch memory and a parallel loop.
int twice(void** arguments) {
  void* context = *static_cast<void**>(arguments[0]);
  const int n = images(arguments, 0, head_images);
  auto* scratch = static_cast<float*>(halide_malloc(context, scratch_floats * sizeof(float)));
  if (n < 0 || !scratch || images(arguments, 1, head_images) != n) return -1;
  for (int p = 0; p < 4 * n; p++) scratch[p] = at(buffer(arguments, 0), p % 2, p / 2 % 2, p / 4);
  const int status = halide_do_par_for(context, double_one, 0, 4 * n, reinterpret_cast<uint8_t*>(scratch));
  for (int p = 0; p < 4 * n; p++) at(buffer(arguments, 1), p % 2, p / 2 % 2, p / 4) = scratch[p];
  halide_free(context, scratch);
  return status;
}

int sum_with_border(void** arguments) {
  const int n = images(arguments, 0, tail_images);
  for (int i = 0; i < n; i++) {
    float sum = 0;
    for (int y = -1; y < 3; y++)
      for (int x = -1; x < 3; x++) {
        const float value = at(buffer(arguments, 0), x, y, i);
        if (!is_inside(x, y) && value != 0) return -1;
        sum += value;
      }
    at(buffer(arguments, 1), 0, 0, i) = sum;
  }
  return n < 0 ? -1 : 0;
}

// And overwrites the border of the second operand, as a tensor that shares its bytes would.
int write_output(void** arguments) {
  const int n = images(arguments, 0, tail_images);
  for (int i = 0; i < n; i++) {
    reinterpret_cast<float*>(buffer(arguments, 2).host)[i] = at(buffer(arguments, 0), 0, 0, i);
    for (int y = -1; y < 3; y++)
      for (int x = -1; x < 3; x++)
        if (!is_inside(x, y)) at(buffer(arguments, 1), x, y, i) = NAN;
  }
  return n < 0 || images(arguments, 2, tail_images) != n ? -1 : 0;
}

// Offset, height, width, channels, border, is_vector, border_shared.
const rn_tensor tensors[] = {
    {0, 2, 2, 1, 0, 0, 0, 0, 0, 0}, {64, 2, 2, 1, 1, 1, 1, 1, 0, 1}, {128, 1, 1, 1, 0, 0, 0, 0, 0, 0}};
const rn_step steps[] = {
    {read_input, 0, 2, {{rn_operand_input, 0}, {rn_operand_tensor, 0}}},
    {twice, 1, 2, {{rn_operand_tensor, 0}, {rn_operand_tensor, 1}}},
    {sum_with_border, 0, 2, {{rn_operand_tensor, 1}, {rn_operand_tensor, 2}}},
    {write_output, 0, 3, {{rn_operand_tensor, 2}, {rn_operand_tensor, 1}, {rn_operand_output, 0}}}};

rn_description two_parts() {
  static const char* const keys[] = {"key", "key_of_twice"};
  rn_description net{};
  net.name = net.target = "net";
  net.channels = net.output_channels = net.output_height = net.output_width = net.has_head = 1;
  net.height = net.width = 2;
  net.tensors = tensors;
  net.tensor_count = 3;
  net.steps = steps;
  net.step_count = 4;
  net.kernel_keys = keys;
  net.kernel_count = 2;
  net.scratch_bytes = 1024;
  net.head = {64, head_images};
  net.tail = {128, tail_images};
  net.tail_step = 2;
  return net;
}

// Of the first n images.
std::vector<float> run_images(rn_model* model, int n) {
  std::vector<float> input, output(static_cast<size_t>(n) + 1, -1);
  for (int i = 0; i < n; i++)
    for (int p = 0; p < 4; p++) input.push_back(static_cast<float>(10 * i + p));
  const int status = rn_run(model, input.data(), n, output.data());
  REQUIRE_MESSAGE(status == rn_ok, rn_message(model));
  return output;
}

// And what was behind them.
std::vector<float> wanted(int n) {
  std::vector<float> result;
  for (int i = 0; i < n; i++) result.push_back(static_cast<float>(2 * (40 * i + 6)));
  result.push_back(-1);
  return result;
}

}  // namespace

TEST_CASE("runtime: the tail takes the images of several passes through the head") {
  const rn_description net = two_parts();
  CHECK(rn_arena_bytes(&net, 1) == 64 + 128);
  CHECK(rn_arena_bytes(&net, 3) == 2 * 64 + 3 * 128);
  CHECK(rn_arena_bytes(&net, 100) == 2 * 64 + 5 * 128);
  for (int max_batch : {1, 2, 3, 5, 8})
    for (bool own_arena : {true, false}) {
      const size_t bytes = rn_arena_bytes(&net, max_batch), guard = 64;
      auto* arena = static_cast<unsigned char*>(std::aligned_alloc(64, bytes + guard));
      std::memset(arena, 0xff, bytes + guard);
      // With an arena of the caller's no thread takes memory for images of its own.
      const rn_options options = {own_arena ? 1 : 2, max_batch, own_arena ? nullptr : arena, bytes, 0, 0};
      rn_model* model = nullptr;
      REQUIRE(rn_create(&model, &net, &options) == rn_ok);
      CHECK(rn_own_image_bytes(model) == 0);
      for (int n : {12, 1, 5, 7, 2, 12}) {
        CAPTURE(max_batch);
        CAPTURE(n);
        const std::vector<float> output = run_images(model, n);
        CHECK(output == wanted(n));
      }
      rn_destroy(model);
      CHECK(std::all_of(arena + bytes, arena + bytes + guard, [](unsigned char c) { return c == 0xff; }));
      std::free(arena);
    }
}

// Each thread then takes images of its own through the head; those that are left over, and the tail, all threads
// together.
TEST_CASE("runtime: threads take images of their own where there are as many, and the results are the same") {
  for (const bool tail : {true, false}) {
    rn_description net = two_parts();
    if (!tail) {
      net.head = {64 + 128, head_images};
      net.tail = {0, head_images};
      net.tail_step = net.step_count;
    }
    for (int threads : {1, 2, 3, 5, 16})
      for (int max_batch : {1, 2, 4, 8}) {
        const rn_options options = {threads, max_batch, nullptr, 0, 0, 0};
        rn_model* model = nullptr;
        REQUIRE(rn_create(&model, &net, &options) == rn_ok);
        const bool may = threads > 1 && max_batch >= threads && (!tail || threads <= tail_images);
        CHECK(rn_own_image_bytes(model) ==
              (may ? net.head.arena_bytes_per_image * (static_cast<uint64_t>(threads) - 1) : 0));
        std::vector<double> seconds(2 * net.step_count);
        for (int n : {1, 12, 2, 7, 3, 12})
          for (const bool shared : {false, true, false})
            for (const bool timed : {false, true}) {
              CAPTURE(tail);
              CAPTURE(threads);
              CAPTURE(max_batch);
              CAPTURE(n);
              CAPTURE(shared);
              rn_share_images(model, shared);
              rn_profile(model, timed ? seconds.data() : nullptr);
              const uint32_t before = rn_parallel_loops(model);
              CHECK(run_images(model, n) == wanted(n));
              // Each pass through the head has a loop of its own, but for images of one thread.
              const uint32_t loops = rn_parallel_loops(model) - before;
              const int chunk = tail ? std::min(max_batch, tail_images) : std::min(max_batch, head_images),
                        at_once = std::min(max_batch, head_images);
              uint32_t wanted_loops = 0;
              for (int left = n; left > 0;) {
                const bool own = may && !shared && !timed;
                const int batch = own && !tail && left >= threads ? left - left % threads : std::min(left, chunk);
                const int alone = own ? batch - batch % threads : 0;
                if (alone > 0) wanted_loops++;
                if (threads > 1) wanted_loops += static_cast<uint32_t>((batch - alone + at_once - 1) / at_once);
                left -= batch;
              }
              CHECK(loops == wanted_loops);
            }
        rn_destroy(model);
      }
  }
}

TEST_CASE("runtime: a kernel that fails on a thread with an image of its own is named") {
  rn_description net = two_parts();
  rn_step failing[4];
  std::copy(std::begin(steps), std::end(steps), failing);
  failing[1].kernel = [](void**) { return 7; };
  net.steps = failing;
  const rn_options options = {2, 4, nullptr, 0, 0, 0};
  rn_model* model = nullptr;
  REQUIRE(rn_create(&model, &net, &options) == rn_ok);
  std::vector<float> input(16), output(4);
  CHECK(rn_run(model, input.data(), 4, output.data()) == rn_error_kernel);
  CHECK(std::string(rn_message(model)) == "kernel key_of_twice failed with status 7: no reason given");
  rn_destroy(model);
}
