// Choices that come from a file: what is_legal accepts compiles and equals the reference, whatever the ranking says.
#include <climits>
#include <filesystem>
#include <random>

#include "schedules/record.h"
#include "tests/schedules/check_kernel.h"

namespace fs = std::filesystem;
using namespace resnetc;
using namespace resnetc::test;

namespace {

const char* const avx2 = "x86-64-linux-avx2-fma-f16c";
const char* const avx512 = "x86-64-linux-avx512_skylake";

Machine machine(const std::string& target, int threads = 2) {
  Machine result = machine_for(target, threads);
  result.largest_winograd = 6;
  return result;
}

// Every strategy of the CPU that has parameters applies to some of these.
std::vector<KernelKey> keys() {
  std::vector<KernelKey> result;
  for (const char* text :
       {"conv2d_i13x10x32_w48x1x1x32_w48_i13x10x48_to_i13x10x48_add_relu_f32",
        "conv2d_i13x10x32_w48x1x1x32bf16_w48_to_i13x10x48b1_relu_f32",
        "conv2d_i14x14x32_w48x1x1x96_w48_i28x28x64_to_i14x14x48_project_stride2_relu_f32",
        "conv2d_i13x10x64b1_w80x3x3x64_w80_to_i13x10x80b1_padding1_relu_f32",
        "conv2d_i13x10x64b1_w80x3x3x64bf16_w80_to_i13x10x80_padding1_f32",
        "conv2d_i14x13x32b1_w48x3x3x32_w48_to_i7x7x48_stride2_padding1_relu_f32",
        "conv2d_i9x8x64b1_w64x3x3x4_w64_to_i9x8x64_padding1_groups16_relu_f32",
        "conv2d_i9x8x64b1_w64x3x3x4_w64_to_i9x8x64_padding1_groups16_interleave16_relu_f32",
        "conv2d_i20x22x3b3_w40x7x7x3_w40_to_i5x6x40b1_stride2_padding3_relu_max_pool_kernel3_stride2_padding1_f32",
        "dense_v96_w70x96_w70_to_v70_f32", "max_pool_i14x14x32_to_i7x7x32_kernel3_stride2_padding1_f32"})
    result.push_back(parse_key(text));
  return result;
}

std::string said(const KernelKey& key, const Choice& choice, const Machine& on) {
  return fmt::format("{} {} on {}, {} threads", to_string(key), to_string(choice), on.target.to_string(), on.threads);
}

Choice with(Choice choice, size_t parameter, int value) {
  choice.parameters.at(parameter).second = value;
  return choice;
}

}  // namespace

TEST_CASE("legal: every candidate, also where it was chosen for other threads") {
  std::set<std::string> seen;
  for (const KernelKey& key : keys())
    for (const char* target : {avx2, avx512, "x86-64-linux-sse41"})
      for (int threads : {1, 2, 3, 8, 64})
        for (const Choice& choice : candidates(key, machine(target, threads))) {
          seen.insert(choice.strategy);
          CHECK_MESSAGE(is_legal(key, choice, machine(target, 1)), said(key, choice, machine(target, threads)));
          CHECK_MESSAGE(is_legal(key, choice, machine(target, threads)), said(key, choice, machine(target, threads)));
        }
  for (const Strategy* strategy : strategies())
    if (strategy->legal) CHECK_MESSAGE(seen.contains(std::string(strategy->name)), strategy->name);
}

TEST_CASE("legal: every candidate for a device, and nothing else") {
  const Machine cuda = machine("x86-64-linux-sse41-cuda-cuda_capability_80", 1);
  for (const KernelKey& key : keys()) {
    const auto* conv = std::get_if<Conv2d>(&key.op);
    if (conv && conv->interleave > 1) continue;
    if (!reads_f32(key) || (std::holds_alternative<Conv2d>(key.op) && key.operands.size() > 3 &&
                            std::get<Conv2d>(key.op).epilogue.front() != Epilogue(Add{})))
      continue;
    const std::vector<Choice> all = candidates(key, cuda);
    for (size_t i = 0; i < all.size(); i += 7) {
      CHECK_MESSAGE(is_legal(key, all[i], cuda), said(key, all[i], cuda));
      CHECK(!is_legal(key, all[i], machine(avx2)));
      for (size_t p = 0; p < all[i].parameters.size(); p++)
        for (int value : {INT_MIN, -1, 0, 3, 1 << 20, INT_MAX})
          CHECK_MESSAGE(!is_legal(key, with(all[i], p, value), cuda), said(key, with(all[i], p, value), cuda));
    }
    CHECK(!is_legal(key, default_choice(key, machine(avx2)), cuda));
  }
}

TEST_CASE("legal: no parameter is missing, unknown, twice, elsewhere or out of all bounds") {
  for (const KernelKey& key : keys())
    for (const char* target : {avx2, avx512}) {
      const Machine on = machine(target);
      std::set<std::string> seen;
      for (const Choice& choice : candidates(key, on)) {
        if (!seen.insert(choice.strategy).second) continue;
        Choice more = choice, baseline = choice, unknown = choice;
        more.parameters.emplace_back("pixels", 1);
        CHECK(!is_legal(key, more, on));
        baseline.strategy = "halide_mullapudi2016", unknown.strategy = "conv2d_magic";
        CHECK(!is_legal(key, baseline, on));
        CHECK(!is_legal(key, unknown, on));
        CHECK(!is_legal(key, {"halide_mullapudi2016", {{"batch", 1}}}, on));
        for (size_t p = 0; p < choice.parameters.size(); p++) {
          Choice less = choice, renamed = choice, twice = choice;
          less.parameters.erase(less.parameters.begin() + static_cast<std::ptrdiff_t>(p));
          renamed.parameters[p].first += "_";
          twice.parameters.push_back(twice.parameters[p]);
          // Without it each strip transforms its weights.
          const bool optional = choice.parameters[p].first == "task_strips";
          CHECK_MESSAGE(is_legal(key, less, on) == optional, said(key, less, on));
          for (const Choice& wrong : {renamed, twice}) CHECK_MESSAGE(!is_legal(key, wrong, on), said(key, wrong, on));
          for (int value : {INT_MIN, -1'000'000'000, -1, 4097, 1 << 16, 1 << 30, 1'000'000'000, INT_MAX})
            CHECK_MESSAGE(!is_legal(key, with(choice, p, value), on), said(key, with(choice, p, value), on));
          if (p > 0) {
            Choice swapped = choice;
            std::swap(swapped.parameters[p], swapped.parameters[p - 1]);
            CHECK_MESSAGE(!is_legal(key, swapped, on), said(key, swapped, on));
          }
        }
      }
    }
}

TEST_CASE("legal: tiles beyond the limit, larger register files and other vectors are not") {
  const KernelKey key = parse_key("conv2d_i13x10x64b1_w80x3x3x64_w80_to_i13x10x80b1_padding1_relu_f32");
  Machine f4 = machine(avx2), off = machine(avx2);
  f4.largest_winograd = 4, off.largest_winograd = 0;
  int wide = 0;
  for (const Choice& choice : candidates(key, machine(avx2))) {
    const bool winograd = choice.strategy == "conv2d_winograd";
    CHECK(is_legal(key, choice, f4) == (!winograd || choice["tile"] <= 4));
    CHECK(is_legal(key, choice, off) == !winograd);
  }
  for (const Choice& choice : candidates(key, machine(avx512)))
    if (choice.strategy == "conv2d_direct" && choice["oc_vectors"] * choice["pixels"] > 13) {
      wide++;
      CHECK(!is_legal(key, choice, machine(avx2)));
    }
  CHECK(wide > 0);
}

TEST_CASE("legal: a task keeps weights that it has transformed whole, for strips that there are") {
  const KernelKey key = parse_key("conv2d_i13x10x64b1_w80x3x3x64_w80_to_i13x10x80b1_padding1_relu_f32");
  const auto legal = [&](int part, int groups, int stored, int prefetch, int strips) {
    const Choice choice = parse_choice(fmt::format(
        "conv2d_winograd tile=2 oc_vectors=1 pixels=5 channel_part={} tile_rows={} channel_groups={} stored={} "
        "prefetch={} task_strips={}",
        part, part == 64 ? 1 : 7, groups, stored, prefetch, strips));
    return is_legal(key, choice, machine(avx2));
  };
  CHECK(legal(64, 2, 0, 0, 1));
  CHECK(legal(64, 1, 0, 0, 7));
  CHECK(!legal(64, 1, 0, 0, 0));
  CHECK(!legal(64, 1, 0, 0, 8));
  CHECK(!legal(64, 0, 0, 0, 7));
  CHECK(!legal(32, 1, 0, 0, 1));
  CHECK(!legal(64, 1, 0, 1, 7));
  for (int stored : {1, 2, 3}) CHECK(!legal(64, 1, stored, 0, 7));
}

TEST_CASE("legal: what is legal and no candidate compiles and equals the reference") {
  const size_t most = std::getenv("RESNETC_LONG_TESTS") ? 30 : 4;
  const unsigned seed = std::getenv("RESNETC_LONG_TESTS") ? std::random_device()() : 17;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (const KernelKey& key : keys()) {
    const Machine on = machine("host");
    const std::vector<Choice> all = candidates(key, on);
    std::set<std::string> seen;
    for (const Choice& choice : all) seen.insert(to_string(choice));
    std::map<std::string, size_t> checked;
    for (int attempt = 0; attempt < 20'000; attempt++) {
      Choice choice = all[random() % all.size()];
      for (auto& [name, value] : choice.parameters) {
        if (random() % 2 == 0) continue;
        constexpr int values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 20, 26, 27, 28, 32, 48, 64, 130};
        value = values[random() % std::size(values)];
      }
      if (checked[choice.strategy] == most || !is_legal(key, choice, on) || !seen.insert(to_string(choice)).second)
        continue;
      checked[choice.strategy]++;
      check_choice(key, choice, on, {2});
    }
  }
}

TEST_CASE("legal: every record that is shipped, but for those of another version") {
  std::map<std::string, int> unused;
  int used = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(RESNETC_SOURCE_DIR "/schedules/tuned")) {
    const RecordFile read = read_records(file.path());
    CHECK(read.problems.empty());
    for (const Record& r : read.records) {
      const std::string at = file.path().filename().string() + ": " + r.key + ": " + to_string(r.choice);
      const Strategy& strategy = strategy_named(r.choice.strategy);
      if (r.halide != halide_version() || strategy.version != r.strategy_version) {
        unused[fmt::format("{}: Halide {}, version {} of {}", file.path().filename().string(), r.halide,
                           r.strategy_version, strategy.name)]++;
        continue;
      }
      Machine tuned_for = machine_for(r.target, r.threads);
      tuned_for.largest_winograd = r.largest_winograd;
      CHECK_MESSAGE(is_legal(parse_key(r.key), r.choice, tuned_for), at);
      used++;
    }
  }
  CHECK(used > 0);
  for (const auto& [what, count] : unused) MESSAGE(count << " records are not used: " << what);
}
