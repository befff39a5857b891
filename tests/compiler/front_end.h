// What the tests of the front end share.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace resnetc::test {

inline std::filesystem::path models_folder() {
  return std::filesystem::path(RESNETC_SOURCE_DIR) / "models";
}

// What Error says; "" if there is none.
template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The same without the "FILE: " that it must begin with.
template <class Action>
std::string message_about(const std::string& file, Action&& action) {
  const std::string message = message_of(std::forward<Action>(action));
  if (message.empty()) return "";
  REQUIRE_MESSAGE(message.starts_with(file + ": "), message);
  return message.substr(file.size() + 2);
}

// The text with one part of it, which must be there, replaced.
inline std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const size_t at = text.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return text.replace(at, part.size(), by);
}

// The bytes of any number of values, lowest byte first.
template <class Number>
std::string bytes_of(const std::vector<Number>& values) {
  std::string bytes(values.size() * sizeof(Number), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A safetensors file with that header.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return bytes_of(std::vector<uint64_t>{header.size()}) + header + data;
}

struct TensorToWrite {
  std::string name, dtype, shape, bytes;  // shape: "[2,3]"
};

inline std::string safetensors_bytes(const std::vector<TensorToWrite>& tensors) {
  std::string header = "{", data;
  for (const TensorToWrite& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + R"(":{"dtype":")" + tensor.dtype + R"(","shape":)" +
              tensor.shape + R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  return safetensors_bytes(header + "}", data);
}

}  // namespace resnetc::test
