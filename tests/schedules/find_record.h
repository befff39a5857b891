// Records of one key on one machine, and what is found among them.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "schedules/schedule_db.h"
#include "tests/runtime/temporary_folder.h"

namespace resnetc::test {

inline const std::string key_text = "conv2d_i14x14x32b1_w48x3x3x32_w48_to_i14x14x48b1_padding1_relu_f32";
inline const std::string here = "One EPYC family 25 model 1", there = "One EPYC family 25 model 17";
inline const std::string target = "x86-64-linux-avx-avx2-f16c-fma-sse41";

inline Machine machine(int threads = 2, const std::string& text = target) {
  return machine_for(text, threads);
}

inline Record record(const Choice& choice) {
  Record r;
  r.key = key_text;
  r.target = target;
  r.choice = choice;
  r.threads = 2;
  r.cpu = here;
  r.halide = halide_version();
  for (const Strategy* strategy : strategies())
    if (strategy->name == choice.strategy) r.strategy_version = strategy->version;
  return r;
}

// The candidate at that place among those of the key.
inline Choice candidate(size_t index) {
  return candidates(parse_key(key_text), machine()).at(index);
}

// What is found in these files: one that is named, the user's own, then shipped ones.
inline std::optional<ScheduleDb::Match> found(const std::vector<std::vector<Record>>& files,
                                              const std::string& key = key_text, const Machine& on = machine(),
                                              int batch = 1, const std::string& cpu = here, bool has_problems = false,
                                              bool cold = true) {
  constexpr RecordSource sources[] = {RecordSource::given, RecordSource::own, RecordSource::shipped};
  const TemporaryFolder folder;
  ScheduleDb db;
  for (size_t i = 0; i < files.size(); i++) {
    const std::filesystem::path file = std::filesystem::path(folder.path) / fmt::format("{}.jsonl", i);
    for (const Record& r : files[i]) append_line(file, to_json_line(r));
    db.add_file(file, sources[std::min<size_t>(i, 2)]);
  }
  CHECK(db.problems().empty() == !has_problems);
  return db.find(parse_key(key), on, batch, cpu, cold);
}

}  // namespace resnetc::test
