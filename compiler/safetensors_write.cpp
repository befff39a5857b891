#include "compiler/safetensors_write.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ir/graph.h"

namespace resnetc {

void write_safetensors(const std::filesystem::path& file, const std::vector<TensorToWrite>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    const uint64_t end = offset + tensor.values->size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins at a multiple of 8
  const uint64_t size = text.size();
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(&size), sizeof size);  // little-endian, as the machine is
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const TensorToWrite& tensor : tensors)
    out.write(reinterpret_cast<const char*>(tensor.values->data()),
              static_cast<std::streamsize>(tensor.values->size() * sizeof(float)));
  out.close();
  if (!out) throw Error(fmt::format("{}: cannot write: {}", file.string(), std::strerror(errno)));
}

}  // namespace resnetc
