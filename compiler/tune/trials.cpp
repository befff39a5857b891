#include "compiler/tune/trials.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace resnetc {

namespace fs = std::filesystem;

namespace {
using Json = nlohmann::ordered_json;
}

fs::path trials_file(const fs::path& records) {
  fs::path file = records;
  if (records.extension() == ".jsonl") return file.replace_extension(".trials.jsonl");
  return file += ".trials.jsonl";
}

void append_trial(const fs::path& file, const Trial& trial) {
  Json object = Json::parse(to_json_line(trial.record));
  if (!trial.failure.empty()) object["failure"] = trial.failure;
  if (trial.temporary) object["temporary"] = true;
  if (trial.images > 0 && trial.record.batch > 1) object["images"] = trial.images;
  object["second"] = trial.second;
  if (trial.ratio > 0) object["ratio"] = trial.ratio, object["against"] = trial.against;
  append_line(file, object.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::vector<Trial> read_trials(const fs::path& file) {
  uint64_t from = 0;
  return read_trials(file, from);
}

std::vector<Trial> read_trials(const fs::path& file, uint64_t& from) {
  std::vector<Trial> trials;
  std::ifstream in(file);
  in.seekg(static_cast<std::streamoff>(from));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    from += line.size() + 1;
    try {
      Trial trial{parse_record(line)};
      const Json object = Json::parse(line);
      trial.failure = object.value("failure", "");
      trial.temporary = object.value("temporary", false);
      trial.images = trial.record.batch > 1 ? object.value("images", 0) : 1;
      trial.second = object.value("second", 0.0);
      trial.ratio = object.value("ratio", 0.0);
      trial.against = object.value("against", "");
      trials.push_back(std::move(trial));
    } catch (const Error&) {
    } catch (const Json::exception&) {
    }
  }
  return trials;
}

}  // namespace resnetc
