#include "compiler/import/external_data.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "compiler/json_reader.h"
#include "ir/graph.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

struct ExternalData {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

uint64_t parse_number(const std::string& key, const std::string& text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end)
    throw Error(fmt::format("external data: {} is {}, which is no number", key, quote(text)));
  return number;
}

ExternalData parse(const onnx::TensorProto& tensor) {
  ExternalData data;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") data.location = entry.value();
    if (entry.key() == "offset") data.offset = parse_number("offset", entry.value());
    if (entry.key() == "length") data.length = parse_number("length", entry.value());
  }
  if (data.location.empty() || data.location.find('\0') != std::string::npos)
    throw Error("external data: names no file");
  return data;
}

fs::path resolve(const ExternalData& data, const fs::path& model) {
  const auto refuse = [&](std::string_view why) {
    throw Error(fmt::format("external data: {}: {}", quote(data.location), why));
  };
  const fs::path location(data.location);
  if (location.is_absolute() || std::find(location.begin(), location.end(), "..") != location.end())
    refuse("is refused, for it leads out of the model's folder; keep the data beside the model");
  std::error_code error;
  const fs::path folder = fs::canonical(model.has_parent_path() ? model.parent_path() : fs::path("."), error);
  fs::path file = error ? fs::path() : fs::canonical(folder / location, error);
  if (error) refuse(error.message() + "; keep the data beside the model");
  if (std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first != folder.end())
    refuse("is refused, for it is a link out of the model's folder; keep the data beside the model");
  if (!fs::is_regular_file(file, error)) refuse("is no file");
  return file;
}

}  // namespace

std::string read_external_data(const onnx::TensorProto& tensor, const fs::path& model, size_t bytes) {
  const ExternalData data = parse(tensor);
  const fs::path file = resolve(data, model);
  if (data.length && *data.length != bytes)
    throw Error(fmt::format("external data: length is {}, but the shape takes {} bytes", *data.length, bytes));
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  if (error || data.offset > size || size - data.offset < bytes)
    throw Error(fmt::format("external data: {} has {} bytes, but {} at {} are needed; the file is cut short",
                            quote(data.location), error ? 0 : size, bytes, data.offset));
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(data.offset));
  std::string result(bytes, '\0');
  if (!in.read(result.data(), static_cast<std::streamsize>(bytes)))
    throw Error(fmt::format("external data: {}: cannot read", quote(data.location)));
  return result;
}

}  // namespace resnetc
