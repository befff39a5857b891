#include "schedules/schedule_db.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <map>

namespace resnetc {
namespace {

namespace fs = std::filesystem;

// The key with all weights stored as f32.
KernelKey as_f32(KernelKey key) {
  for (TensorType& type : key.operands) type.dtype = DType::f32;
  return key;
}

// The key without what else changes the code little: the result's border and the epilogue.
KernelKey body_of(KernelKey key) {
  key.result.border = {};
  if (auto* conv = std::get_if<Conv2d>(&key.op)) {
    size_t residuals = 0;
    for (const Epilogue& step : conv->epilogue) residuals += std::holds_alternative<Add>(step) ? 1 : 0;
    key.operands.resize(key.operands.size() - std::min(residuals, key.operands.size()));
    std::erase_if(conv->epilogue, [](const Epilogue& step) {
      return std::holds_alternative<Add>(step) || std::holds_alternative<Relu>(step);
    });
  }
  return key;
}

// Whether code for the one may be code for the other.
bool alike(const Machine& a, const Machine& b) {
  if (a.device != Device::cpu || b.device != Device::cpu) return a.device == b.device;
  return a.lanes == b.lanes && a.registers == b.registers && a.fused_multiply_add == b.fused_multiply_add;
}

// Whose CPUs have the target's instruction set; "" where both vendors' do.
std::string_view vendor_of(const Halide::Target& target) {
  return target.has_feature(Halide::Target::AVX512_Zen4) ? "amd" : "";
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

bool is_of_this_version(const Record& r) {
  for (const auto& list : {strategies(), device_strategies()})
    for (const Strategy* strategy : list)
      if (strategy->name == r.choice.strategy)
        return r.halide == halide_version() && strategy->version == r.strategy_version;
  return false;
}

void ScheduleDb::add_file(const fs::path& file, RecordSource source, Provisional provisional) {
  RecordFile read;
  try {
    read = read_records(file);
  } catch (const Error& e) {
    if (source == RecordSource::given) throw;
    // Nobody asked for it.
    problems_.push_back(fmt::format("{}; the file is skipped", e.what()));
  }
  problems_.insert(problems_.end(), read.problems.begin(), read.problems.end());
  // Those that cannot be used do not replace what can.
  UnusableRecords unusable;
  std::vector<Record> of_use;
  std::map<std::string, UsableRecord> parsed;  // by identity
  for (size_t i = 0; i < read.records.size(); i++) {
    Record& record = read.records[i];
    std::optional<UsableRecord> each = usable(record, read.lines[i], unusable);
    if (!each) continue;
    parsed.insert_or_assign(identity_of(record), std::move(*each));
    of_use.push_back(std::move(record));
  }
  for (std::string& line : unusable.lines(file.string(), false)) problems_.push_back(std::move(line));
  for (std::string& line : unusable.lines(file.string(), true)) notes_.push_back(std::move(line));
  for (auto& [identity, record] : records_in_force(of_use, provisional)) {
    const UsableRecord& of = parsed.at(identity);
    const KernelKey plain = as_f32(of.key);
    entries_.push_back(
        {std::move(record), source, file.filename().string(), plain, body_of(plain), reads_f32(of.key), of.machine});
  }
}

std::optional<ScheduleDb::Match> ScheduleDb::find(const KernelKey& key, const Machine& machine, int batch,
                                                  const std::string& hardware, bool cold) const {
  const bool on_device = machine.device != Device::cpu;
  const std::string target = machine.target.to_string(), kind = on_device ? hardware : cpu_kind(hardware);
  const std::string_view vendor = hardware.empty() ? vendor_of(machine.target) : cpu_vendor(kind);
  const KernelKey plain = as_f32(key), body = body_of(plain);
  const uint32_t features = cpu_feature_bits(machine.target);
  // What differs weighs in this order; the least wins.
  struct Distance {
    bool storage, key, file, target, hardware;
    RecordSource source;
    bool vendor;
    int features;
    bool weaker_target;
    bool winograd;
    double batch, threads;
    bool weights;
    auto operator<=>(const Distance&) const = default;
  };
  std::vector<std::pair<Distance, const Entry*>> near;
  for (const Entry& entry : entries_) {
    const Record& r = entry.record;
    if (!alike(entry.machine, machine) || !(entry.body == body)) continue;
    // What was split for half as many threads leaves half of these idle. Who names a file has decided.
    if (!on_device && entry.source != RecordSource::given && 2 * r.threads <= machine.threads) continue;
    const double threads = std::abs(std::log2(static_cast<double>(r.threads) / machine.threads));
    const Distance distance{entry.reads_f32 != reads_f32(key),
                            !(entry.plain == plain),
                            entry.source != RecordSource::given,
                            entry.machine.target.to_string() != target,
                            !hardware.empty() && hardware_kind(r) != kind,
                            entry.source,
                            !on_device && !vendor.empty() && cpu_vendor(hardware_kind(r)) != vendor,
                            on_device ? 0 : std::popcount(cpu_feature_bits(entry.machine.target) ^ features),
                            !on_device && own_feature(hardware_kind(r)) != strongest_feature(entry.machine.target),
                            r.largest_winograd != machine.largest_winograd,
                            std::abs(std::log2(static_cast<double>(r.batch) / batch)),
                            on_device ? 0 : threads,
                            r.cold != cold};
    near.emplace_back(distance, &entry);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [distance, entry] : near) {
    const Record& r = entry->record;
    if (!is_legal(key, r.choice, with_limits(machine, r.limits))) continue;
    std::vector<std::string> differences;
    if (distance.storage) differences.emplace_back("weights stored otherwise");
    if (distance.key) differences.emplace_back("other epilogue or border");
    if (distance.target) differences.emplace_back("other target");
    if (distance.hardware) differences.emplace_back(on_device ? "other device" : "other CPU");
    if (distance.winograd) differences.emplace_back("winograd " + winograd_name(r.largest_winograd));
    if (distance.batch > 0) differences.emplace_back(fmt::format("batch {}", r.batch));
    if (distance.threads > 0) differences.emplace_back(fmt::format("{} threads", r.threads));
    constexpr const char* prefix[] = {"", "own ", "shipped "};
    std::string origin = prefix[static_cast<int>(entry->source)] + entry->file;
    if (!differences.empty()) origin += fmt::format(" ({})", fmt::join(differences, ", "));
    return Match{r.choice, std::move(origin), r};
  }
  return std::nullopt;
}

ScheduleDb read_all_records(const fs::path& given, const fs::path& shipped, const fs::path& without_provisional) {
  ScheduleDb records;
  std::error_code not_there;
  const auto add = [&](const fs::path& file, RecordSource source) {
    const bool without = fs::equivalent(file, without_provisional, not_there);
    records.add_file(file, source, without ? Provisional::is_left_out : Provisional::counts);
  };
  if (!given.empty()) add(given, RecordSource::given);
  for (const auto& [folder, source] : {std::pair(own_folder(), RecordSource::own), {shipped, RecordSource::shipped}})
    for (const fs::path& file : record_files_in(folder))
      if (!fs::equivalent(file, given, not_there)) add(file, source);
  return records;
}

std::string record_file_name(const Machine& machine, const std::string& hardware) {
  if (machine.device == Device::cpu)
    return fmt::format("{}-{}.jsonl", cpu_kind(hardware), strongest_feature(machine.target));
  constexpr size_t longest = 60;
  std::string name;
  for (const char c : hardware) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  name = name.substr(0, longest);
  while (!name.empty() && name.back() == '-') name.pop_back();
  return fmt::format("{}{}{}.jsonl", name, name.empty() ? "" : "-", machine.device == Device::cuda ? "cuda" : "opencl");
}

fs::path own_record_file(const Machine& machine, const std::string& hardware) {
  const fs::path folder = own_folder();
  return folder.empty() ? folder : folder / record_file_name(machine, hardware);
}

}  // namespace resnetc
