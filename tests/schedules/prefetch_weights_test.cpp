// Which cache lines a kernel prefetches, counted by running the loops around each prefetch in the lowered code.
#include "schedules/prefetch_weights.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "schedules/strategy.h"

using namespace resnetc;

namespace {

using namespace Halide::Internal;

// A place in the lowered code that prefetches a line, with the loops around it.
struct Place {
  std::vector<Stmt> around;
  Halide::Expr line;
};

// A lowering pass that changes nothing, since what compile_to_module gives has the parallel loop's body elsewhere.
struct PlaceFinder : IRMutator {
  using IRMutator::visit;
  std::vector<Stmt> around;
  std::vector<Place> places;

  Stmt visit(const For* loop) override {
    around.emplace_back(loop);
    mutate(loop->body);
    around.pop_back();
    return loop;
  }

  // reinterpret(reinterpret(weight) + uint64(line) * 64)
  Halide::Expr visit(const Call* call) override {
    if (call->name.starts_with("llvm.prefetch")) {
      const auto* sum = call->args[0].as<Halide::Internal::Reinterpret>()->value.as<Halide::Internal::Add>();
      REQUIRE(sum);
      const auto* bytes = sum->b.as<Halide::Internal::Mul>();
      REQUIRE(bytes);
      places.push_back({around, bytes->a.as<Halide::Internal::Cast>()->value});
    }
    return call;
  }
};

std::vector<Place> prefetching_places(const KernelKey& key, const Choice& choice, const Machine& machine) {
  KernelPipeline kernel = strategy_named(choice.strategy).build(key, choice, machine);
  PlaceFinder finder;
  kernel.pipeline.add_custom_lowering_pass(&finder, [] {});
  kernel.pipeline.compile_to_module(kernel.arguments, "kernel", machine.target);
  return finder.places;
}

// Of each block of output channels, how often each line is prefetched while it is computed.
struct Prefetches {
  std::map<int64_t, std::map<int64_t, int>> of_block;
  int64_t blocks_of_task = 0;  // where a task takes several

  // The loops from the depth-th on.
  void run(const Place& place, size_t depth, const Halide::Expr& line, int64_t block) {
    if (depth == place.around.size()) {
      const auto* value = line.as<IntImm>();
      REQUIRE_MESSAGE(value, line);
      of_block[block][value->value]++;
      return;
    }
    const For* loop = place.around[depth].as<For>();
    const auto* extent = loop->extent.as<IntImm>();
    for (int64_t i = 0; i < (extent ? extent->value : 1); i++) {
      const Halide::Expr index = simplify(loop->min + static_cast<int>(i));
      const int64_t step = loop->name.ends_with(".task") ? blocks_of_task : loop->name.ends_with(".block") ? 1 : 0;
      run(place, depth + 1, simplify(substitute(loop->name, index, line)), block + i * step);
    }
  }
};

Prefetches prefetches_of(const KernelKey& key, const Choice& choice, const Machine& machine) {
  Prefetches prefetches;
  if (choice.strategy == "conv2d_winograd" && choice["channel_groups"] > 0) {
    const int block = choice["oc_vectors"] * machine.lanes, blocks = (key.result.channels() + block - 1) / block;
    prefetches.blocks_of_task = blocks / choice["channel_groups"];
  }
  for (const Place& place : prefetching_places(key, choice, machine)) prefetches.run(place, 0, place.line, 0);
  return prefetches;
}

std::set<int64_t> lines_of(const std::map<int64_t, int>& counted) {
  std::set<int64_t> lines;
  for (const auto& [line, count] : counted) lines.insert(line);
  return lines;
}

// The first candidate of a strategy that prefetches and has these parameters.
Choice prefetching(const KernelKey& key, const Machine& machine, std::string_view strategy,
                   const std::vector<std::pair<std::string, int>>& wanted) {
  for (const Choice& choice : candidates(key, machine))
    if (choice.strategy == strategy && choice["prefetch"] != 0 &&
        std::all_of(wanted.begin(), wanted.end(), [&](const auto& w) { return choice[w.first] == w.second; }))
      return choice;
  FAIL("no candidate of " << strategy << " prefetches");
  return {};
}

}  // namespace

TEST_CASE("prefetch_weights: direct convolution, each line of the next block") {
  for (const int threads : {1, 2, 3}) {
    for (const char* text :
         {"conv2d_i3x3x32_w64x1x1x32_to_i3x3x64_f32", "conv2d_i6x7x16b1_w48x3x3x16_to_i3x4x48_stride2_padding1_f32",
          "conv2d_i3x3x32_w64x1x1x32bf16_to_i3x3x64_f32"}) {
      CAPTURE(threads);
      CAPTURE(text);
      const KernelKey key = parse_key(text);
      Machine machine = machine_for("x86-64-linux-avx2-fma", threads);
      machine.level2_bytes = 4096;
      const Choice choice = prefetching(key, machine, "conv2d_direct", {{"oc_vectors", 2}, {"passes", 1}});
      const std::vector<int>& weight = key.operands[1].dims;
      const int block = choice["oc_vectors"] * machine.lanes, blocks = (weight[0] + block - 1) / block;
      const int two_in_one = key.operands[1].dtype == DType::bf16 ? 2 : 1;
      const int lines = weight[1] * weight[2] * weight[3] * block / floats_of_line / two_in_one;
      const Prefetches prefetches = prefetches_of(key, choice, machine);
      CHECK(prefetches.of_block.size() == static_cast<size_t>(blocks));
      for (const auto& [index, counted] : prefetches.of_block) {
        std::set<int64_t> wanted;
        for (int n = 0; n < lines; n++) wanted.insert((index + 1) * lines + n);
        CHECK(lines_of(counted) == wanted);
      }
    }
  }
}

TEST_CASE("prefetch_weights: direct convolution in passes, each line of the next pass, then of the next block") {
  const Machine machine = machine_for("x86-64-linux-avx2-fma", 2);
  for (const auto& [text, passes] : {std::pair{"conv2d_i3x3x64_w64x1x1x64_to_i3x3x64_f32", 4},
                                     {"conv2d_i6x7x16b1_w48x3x3x16_to_i3x4x48_stride2_padding1_f32", 12},
                                     {"conv2d_i3x3x64_w64x1x1x64bf16_to_i3x3x64_f32", 2}}) {
    CAPTURE(text);
    const KernelKey key = parse_key(text);
    const Choice choice = parse_choice(
        fmt::format("conv2d_direct oc_vectors=2 pixels=3 unroll=2 pixel_tasks=0 passes={} prefetch=1", passes));
    REQUIRE(is_legal(key, choice, machine));
    const std::vector<int>& weight = key.operands[1].dims;
    const int rows = weight[1], columns = weight[2], channels = weight[3], parts = passes / rows;
    const int row_lines = 2 * machine.lanes / floats_of_line, two_in_one = key.operands[1].dtype == DType::bf16 ? 2 : 1;
    const int tap = channels * row_lines / two_in_one, block = rows * columns * tap;
    const Prefetches prefetches = prefetches_of(key, choice, machine);
    CHECK(prefetches.of_block.size() == static_cast<size_t>(weight[0] / (2 * machine.lanes)));
    for (const auto& [index, counted] : prefetches.of_block) {
      std::set<int64_t> wanted;
      for (int n = 0; n < block; n++) {
        const bool first_pass = n / (columns * tap) == 0 && n % tap < tap / parts;
        wanted.insert((first_pass ? index + 1 : index) * block + n);
      }
      CHECK(lines_of(counted) == wanted);
      CHECK(std::all_of(counted.begin(), counted.end(), [](const auto& c) { return c.second <= 8; }));
    }
  }
}

TEST_CASE("prefetch_weights: Winograd, each line of the next part of the channels, then of the next block") {
  const int threads = 2;
  for (const auto& [level2, groups, two_in_one] :
       {std::tuple{1 << 16, 0, 1}, {1 << 17, 0, 1}, {1 << 17, 2, 1}, {1 << 16, 0, 2}, {1 << 16, 2, 2}}) {
    const KernelKey key = parse_key(two_in_one == 2 ? "conv2d_i14x14x64b1_w64x3x3x64bf16_to_i14x14x64_padding1_f32"
                                                    : "conv2d_i14x14x64b1_w64x3x3x64_to_i14x14x64_padding1_f32");
    Machine machine = machine_for("x86-64-linux-avx512_skylake", threads);
    if (two_in_one == 1) machine = machine_for("x86-64-linux-avx2-fma", threads);
    machine.level2_bytes = level2;
    const Choice choice =
        prefetching(key, machine, "conv2d_winograd", {{"oc_vectors", 2}, {"channel_groups", groups}, {"stored", 0}});
    CAPTURE(to_string(choice));
    const int block = choice["oc_vectors"] * machine.lanes, blocks = (64 + block - 1) / block;
    const int row_lines = block / floats_of_line / two_in_one;
    const int part = choice["channel_part"], parts = 64 / part;
    CHECK(parts > 1);
    const Prefetches prefetches = prefetches_of(key, choice, machine);
    CHECK(prefetches.of_block.size() == static_cast<size_t>(blocks));
    for (const auto& [index, counted] : prefetches.of_block) {
      std::set<int64_t> wanted;
      for (int plane = 0; plane < 9; plane++)
        for (int channel = 0; channel < 64; channel++)
          for (int line = 0; line < row_lines; line++) {
            const int64_t from = channel < part ? index + 1 : index;
            wanted.insert(((from * 9 + plane) * 64 + channel) * row_lines + line);
          }
      CHECK(lines_of(counted) == wanted);
    }
  }
}

// A loop for each row of transformed values, six of F(4, 3), or for each half of one shares the lines out.
TEST_CASE("prefetch_weights: Winograd with weights in registers, each line once") {
  const KernelKey key = parse_key("conv2d_i14x14x64b1_w64x3x3x64_to_i14x14x64_padding1_f32");
  Machine machine = machine_for("x86-64-linux-avx512_skylake", 2);
  machine.level2_bytes = 1 << 17;
  for (const auto& [stored, channel_part] : {std::pair{2, 64}, {2, 32}, {3, 64}, {3, 32}}) {
    const Choice choice =
        prefetching(key, machine, "conv2d_winograd",
                    {{"tile", 4}, {"channel_groups", 2}, {"stored", stored}, {"channel_part", channel_part}});
    CAPTURE(to_string(choice));
    const int lines_of_block = 9 * 64 * choice["oc_vectors"], blocks = 64 / 16 / choice["oc_vectors"],
              lines_of_part = lines_of_block * channel_part / 64;
    const Prefetches prefetches = prefetches_of(key, choice, machine);
    CHECK(prefetches.of_block.size() == static_cast<size_t>(blocks));
    for (const auto& [index, counted] : prefetches.of_block) {
      std::set<int64_t> wanted;
      for (int n = 0; n < lines_of_block; n++) wanted.insert(index * lines_of_block + lines_of_part + n);
      CHECK(lines_of(counted) == wanted);
      // 6 loops of 4 tile groups, or 12 of 2, and 64 channels share 576 lines out.
      CHECK(std::all_of(counted.begin(), counted.end(), [](const auto& c) { return c.second <= 3; }));
    }
  }
}

// Otherwise the tuner would time one kernel twice. Tiles of Winograd that all fit into one register tile, and groups of
// one block, leave out loops that others have.
TEST_CASE("prefetch_weights: no candidate asks for it in vain") {
  for (const char* text : {"conv2d_i7x7x64b1_w64x3x3x64_to_i7x7x64_padding1_f32",
                           "conv2d_i4x4x32b1_w64x3x3x32bf16_to_i4x4x64_padding1_f32",
                           "conv2d_i7x7x32b1_w160x3x3x32_to_i7x7x160_padding1_f32",
                           "conv2d_i7x7x64b1_w64x3x3x64_to_i4x4x64_stride2_padding1_f32"}) {
    Machine machine = machine_for("x86-64-linux-avx512_skylake", 2);
    machine.level2_bytes = 1 << 16;
    const KernelKey key = parse_key(text);
    int asking = 0;
    for (const Choice& choice : candidates(key, machine)) {
      if (choice["prefetch"] == 0) continue;
      if (++asking % 4 != 1 && !std::getenv("RESNETC_LONG_TESTS")) continue;
      INFO(text << " " << to_string(choice));
      CHECK(!prefetching_places(key, choice, machine).empty());
    }
    CHECK(asking > 8);
  }
}
