#include "schedules/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace resnetc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t longest_line = 8192, largest_file = size_t{64} << 20;

const Json& field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw Error(fmt::format("\"{}\" is missing", name));
  return *found;
}

std::string text_of(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_string()) throw Error(fmt::format("\"{}\" must be a string", name));
  return value.get<std::string>();
}

int integer_in(const Json& value, std::string_view name, int least, int most) {
  if (!value.is_number_integer()) throw Error(fmt::format("\"{}\" must be a whole number", name));
  // Unsigned values beyond int64 would come out negative.
  const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX};
  const auto number = value.get<int64_t>();
  if (!fits || number < least || number > most)
    throw Error(fmt::format("\"{}\" must be from {} to {}, got {}", name, least, most, value.dump()));
  return static_cast<int>(number);
}

double number_of(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0)
    throw Error(fmt::format("\"{}\" must be a number of at least 0", name));
  return value.get<double>();
}

// Left out where it is not known.
int limit_of(const Json& object, const char* name) {
  return object.contains(name) ? integer_in(field(object, name), name, 1, 1 << 30) : 0;
}

// Left out where it is false.
bool is_said(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return false;
  if (!found->is_boolean()) throw Error(fmt::format("\"{}\" must be true or false", name));
  return found->get<bool>();
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }

 private:
  int number_;
};

// That a file was made is in its folder, which goes to the disk by itself.
void sync_folder(const fs::path& folder) {
  const Descriptor opened(open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (*opened >= 0) fsync(*opened);  // not every file system can
}

// Four significant digits: more is noise.
double rounded(double value) {
  return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr);
}

}  // namespace

std::string to_json_line(const Record& r) {
  Json parameters = Json::object();
  for (const auto& [name, value] : r.choice.parameters) parameters[name] = value;
  Json object = {{"key", r.key},
                 {"target", r.target},
                 {"strategy", r.choice.strategy},
                 {"parameters", parameters},
                 {"threads", r.threads},
                 {"batch", r.batch},
                 {"winograd", winograd_name(r.largest_winograd)},
                 {"weights", r.cold ? "cold" : "hot"}};
  if (r.provisional) object["provisional"] = true;
  if (r.dropped) object["dropped"] = true;
  object["milliseconds"] = rounded(r.milliseconds);
  object["default_milliseconds"] = rounded(r.default_milliseconds);
  object["gflops"] = rounded(r.gflops);
  object["percent_of_peak"] = rounded(r.percent_of_peak);
  if (r.device.empty())
    object["cpu"] = r.cpu;
  else
    object["device"] = r.device;
  if (r.limits.gpu_threads > 0) object["gpu_threads"] = r.limits.gpu_threads;
  if (r.limits.gpu_shared_bytes > 0) object["gpu_shared_bytes"] = r.limits.gpu_shared_bytes;
  if (r.limits.gpu_multiprocessors > 0) object["gpu_multiprocessors"] = r.limits.gpu_multiprocessors;
  object["halide"] = r.halide;
  object["strategy_version"] = r.strategy_version;
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Record parse_record(std::string_view line) {
  if (line.size() > longest_line) throw Error(fmt::format("longer than {} bytes", longest_line));
  const Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded()) throw Error("not JSON; a line cut short?");
  if (!object.is_object()) throw Error("not an object");
  Record r;
  r.key = text_of(object, "key");
  r.target = text_of(object, "target");
  r.choice.strategy = text_of(object, "strategy");
  const Json& parameters = field(object, "parameters");
  if (!parameters.is_object()) throw Error("\"parameters\" must be an object");
  for (const auto& [name, value] : parameters.items())
    r.choice.parameters.emplace_back(name, integer_in(value, name, -1'000'000'000, 1'000'000'000));
  r.threads = integer_in(field(object, "threads"), "threads", 1, 4096);
  r.batch = integer_in(field(object, "batch"), "batch", 1, 65536);
  // Left out by the first versions, which had one limit.
  constexpr int before_it_was_said = 4;
  r.largest_winograd = object.contains("winograd") ? parse_winograd(text_of(object, "winograd")) : before_it_was_said;
  const std::string weights = text_of(object, "weights");
  if (weights != "cold" && weights != "hot") throw Error("\"weights\" must be \"cold\" or \"hot\"");
  r.cold = weights == "cold";
  r.provisional = is_said(object, "provisional");
  r.dropped = is_said(object, "dropped");
  r.milliseconds = number_of(object, "milliseconds");
  r.default_milliseconds = number_of(object, "default_milliseconds");
  r.gflops = number_of(object, "gflops");
  r.percent_of_peak = number_of(object, "percent_of_peak");
  if (object.contains("device")) {
    r.device = text_of(object, "device");
    r.limits = {limit_of(object, "gpu_threads"), limit_of(object, "gpu_shared_bytes"),
                limit_of(object, "gpu_multiprocessors")};
  } else {
    r.cpu = text_of(object, "cpu");
  }
  r.halide = text_of(object, "halide");
  r.strategy_version = integer_in(field(object, "strategy_version"), "strategy_version", 1, 1'000'000);
  return r;
}

std::string hardware_kind(const Record& r) {
  return r.device.empty() ? cpu_kind(r.cpu) : r.device;
}

std::string identity_of(const Record& r) {
  return fmt::format("{} {} {} {} {} {} {}", r.key, r.target, hardware_kind(r), winograd_name(r.largest_winograd),
                     r.batch, r.threads, r.cold ? "cold" : "hot");
}

std::map<std::string, Record> records_in_force(const std::vector<Record>& records, Provisional provisional) {
  std::map<std::string, Record> lasting, passing;
  const auto take_back = [](std::map<std::string, Record>& from, const std::string& identity, const Choice& choice) {
    const auto found = from.find(identity);
    return found != from.end() && found->second.choice == choice && from.erase(identity) > 0;
  };
  for (const Record& r : records) {
    const std::string identity = identity_of(r);
    if (r.dropped) {
      if (!take_back(passing, identity, r.choice)) take_back(lasting, identity, r.choice);
    } else if (r.provisional) {
      passing.insert_or_assign(identity, r);
    } else {
      lasting.insert_or_assign(identity, r);
      passing.erase(identity);
    }
  }
  if (provisional == Provisional::is_left_out) return lasting;
  passing.merge(lasting);
  return passing;
}

std::string halide_version() {
  return fmt::format("{}.{}.{}", HALIDE_VERSION_MAJOR, HALIDE_VERSION_MINOR, HALIDE_VERSION_PATCH);
}

RecordFile read_records(const fs::path& file) {
  RecordFile result;
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) return result;
  if (!fs::is_regular_file(status)) throw Error(fmt::format("{}: not a file of records", file.string()));
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(fmt::format("{}: cannot read the records", file.string()));
  if (fs::file_size(file, error) > largest_file)
    throw Error(fmt::format("{}: larger than {} MB; is it a file of records?", file.string(), largest_file >> 20));
  std::string line;
  for (size_t number = 1; std::getline(in, line); number++) {
    if (line.empty()) continue;
    try {
      result.records.push_back(parse_record(line));
      result.lines.push_back(number);
    } catch (const Error& e) {
      result.problems.push_back(fmt::format("{}:{}: {}; the line is skipped", file.string(), number, e.what()));
    }
  }
  return result;
}

void append_line(const fs::path& file, std::string line) {
  append_line_if(file, std::move(line), {});
}

bool append_line_if(const fs::path& file, std::string line, const std::function<bool(const std::vector<Record>&)>& so) {
  const auto fail = [&](const char* what) {
    throw Error(fmt::format("{}: cannot {}: {}", file.string(), what, strerror(errno)));
  };
  std::error_code ignored;
  const fs::path folder = file.parent_path();
  const bool new_folder = !folder.empty() && fs::create_directories(folder, ignored);
  const Descriptor out(open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (*out < 0) fail("open for writing");
  // Others hold it for as long as a line takes; one that is stopped must not hold up this one for ever.
  constexpr int most_waits = 1000, wait_us = 10'000;
  int waits = 0, locked = -1;
  while ((locked = flock(*out, LOCK_EX | LOCK_NB)) != 0 && (errno == EINTR || errno == EWOULDBLOCK)) {
    if (++waits > most_waits)
      throw Error(fmt::format("{}: another process has locked it for ten seconds; nothing was written", file.string()));
    usleep(wait_us);
  }
  if (locked != 0 && errno != ENOLCK && errno != EOPNOTSUPP) fail("lock");
  if (so && !so(read_records(file).records)) return false;
  struct stat status = {};
  if (fstat(*out, &status) != 0) fail("read");
  char last = '\n';
  if (status.st_size > 0 && pread(*out, &last, 1, status.st_size - 1) != 1) fail("read");
  line = (last == '\n' ? "" : "\n") + line + "\n";
  const ssize_t written = write(*out, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    if (written >= 0) errno = ENOSPC;
    const int reason = errno;
    if (written > 0 && ftruncate(*out, status.st_size) != 0) fail("take back half a line");
    errno = reason;
    fail("write");
  }
  if (fsync(*out) != 0 && errno != EINVAL) {
    const int reason = errno;
    if (ftruncate(*out, status.st_size) != 0) fail("take back a line");
    errno = reason;
    fail("write");
  }
  if (status.st_size == 0) sync_folder(folder);
  for (fs::path made = folder; new_folder && made.has_relative_path(); made = made.parent_path())
    sync_folder(made.parent_path());
  return true;
}

}  // namespace resnetc
