#include "compiler/import/read_onnx.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <limits>

#include "compiler/files.h"
#include "ir/graph.h"

namespace resnetc {

void read_onnx(const std::filesystem::path& file, onnx::ModelProto& model) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(file, error);
  if (!error && size > std::numeric_limits<int>::max())
    throw Error(
        fmt::format("{}: is larger than 2 GiB, more than ONNX allows; save it with external data", file.string()));
  const std::string bytes = read_file(file);
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !model.has_graph())
    throw Error(fmt::format("{}: is no ONNX model, or is cut short", file.string()));
}

}  // namespace resnetc
