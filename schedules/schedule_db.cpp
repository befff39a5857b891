#include "schedules/schedule_db.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace resnetc {
namespace {

namespace fs = std::filesystem;

bool same_identity(const Record& a, const Record& b) {
  return a.key == b.key && a.target == b.target && a.threads == b.threads && a.batch == b.batch;
}

// The key without what changes the code little: the result's border and the epilogue.
KernelKey body_of(KernelKey key) {
  key.result.border = {};
  if (auto* conv = std::get_if<Conv2d>(&key.op)) {
    size_t residuals = 0;
    for (const Epilogue& step : conv->epilogue) residuals += std::holds_alternative<Add>(step) ? 1 : 0;
    key.operands.resize(key.operands.size() - std::min(residuals, key.operands.size()));
    std::erase_if(conv->epilogue, [](const Epilogue& step) { return !std::holds_alternative<MaxPool>(step); });
  }
  return key;
}

bool among_candidates(const Choice& choice, const KernelKey& key, const Machine& machine, int recorded_threads) {
  Machine recorded = machine;
  recorded.threads = recorded_threads;
  for (const Machine& each : {machine, recorded}) {
    const std::vector<Choice> all = candidates(key, each);
    if (std::find(all.begin(), all.end(), choice) != all.end()) return true;
  }
  return false;
}

std::vector<fs::path> record_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".jsonl") && !name.ends_with(".trials.jsonl")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

fs::path own_folder() {
  if (const char* xdg = std::getenv("XDG_DATA_HOME"); xdg && *xdg) return fs::path(xdg) / "resnetc" / "tuned";
  if (const char* home = std::getenv("HOME"); home && *home)
    return fs::path(home) / ".local" / "share" / "resnetc" / "tuned";
  return {};
}

}  // namespace

void ScheduleDb::add_file(const fs::path& file, std::string name) {
  RecordFile read = read_records(file);
  problems_.insert(problems_.end(), read.problems.begin(), read.problems.end());
  std::vector<Entry> in_force;
  for (Record& record : read.records) {
    std::erase_if(in_force, [&](const Entry& e) { return same_identity(e.record, record); });
    if (!record.dropped) in_force.push_back({std::move(record), name, layers_});
  }
  entries_.insert(entries_.end(), in_force.begin(), in_force.end());
  layers_++;
}

std::optional<ScheduleDb::Match> ScheduleDb::find(const KernelKey& key, const Machine& machine, int batch,
                                                  const std::string& cpu) const {
  const std::string text = to_string(key), target = machine.target.to_string(), version = halide_version();
  const KernelKey body = body_of(key);
  // What differs weighs in this order; the least wins.
  using Distance = std::tuple<bool, int, bool, bool, bool, bool>;
  std::vector<std::pair<Distance, const Entry*>> near;
  for (const Entry& entry : entries_) {
    const Record& r = entry.record;
    const bool other_key = r.key != text;
    if (r.halide != version) continue;
    if (r.target != target) {
      if (!Halide::Target::validate_target_string(r.target)) continue;
      try {
        const Machine other = machine_for(r.target, 1);
        if (other.lanes != machine.lanes || other.registers != machine.registers ||
            other.fused_multiply_add != machine.fused_multiply_add)
          continue;
      } catch (const Error&) {
        continue;
      }
    }
    if (other_key) {
      // Cheap before exact: the text of a key starts with its op.
      if (r.key.substr(0, r.key.find('_')) != text.substr(0, text.find('_'))) continue;
      try {
        if (body_of(parse_key(r.key)) != body) continue;
      } catch (const Error&) {
        continue;
      }
    }
    near.push_back({{other_key, entry.layer, r.target != target, !cpu.empty() && r.cpu != cpu, r.batch != batch,
                     r.threads != machine.threads},
                    &entry});
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [distance, entry] : near) {
    const Record& r = entry->record;
    const auto strategy = std::find_if(strategies().begin(), strategies().end(),
                                       [&](const Strategy* s) { return s->name == r.choice.strategy; });
    if (strategy == strategies().end() || (*strategy)->version != r.strategy_version) continue;
    if (!among_candidates(r.choice, key, machine, r.threads)) continue;
    std::vector<std::string> differences;
    const auto& [other_key, layer, other_target, other_cpu, other_batch, other_threads] = distance;
    if (other_key) differences.emplace_back("other epilogue or border");
    if (other_target) differences.emplace_back("other target");
    if (other_cpu) differences.emplace_back("other CPU");
    if (other_batch) differences.emplace_back(fmt::format("batch {}", r.batch));
    if (other_threads) differences.emplace_back(fmt::format("{} threads", r.threads));
    return Match{r.choice,
                 differences.empty() ? entry->file : fmt::format("{} ({})", entry->file, fmt::join(differences, ", ")),
                 r};
  }
  return std::nullopt;
}

ScheduleDb read_all_records(const fs::path& first, const fs::path& shipped) {
  ScheduleDb records;
  if (!first.empty()) records.add_file(first, first.filename().string());
  std::error_code not_there;
  for (const fs::path& folder : {own_folder(), shipped})
    for (const fs::path& file : record_files_in(folder))
      if (!fs::equivalent(file, first, not_there)) records.add_file(file, file.filename().string());
  return records;
}

fs::path own_record_file(const std::string& target) {
  const fs::path folder = own_folder();
  return folder.empty() ? folder : folder / (target + ".jsonl");
}

}  // namespace resnetc
