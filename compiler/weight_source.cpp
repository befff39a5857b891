#include "compiler/weight_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <unordered_set>

#include "compiler/files.h"
#include "compiler/json_reader.h"
#include "compiler/message.h"
#include "compiler/named_tensors.h"
#include "compiler/random_weights.h"
#include "ir/bf16.h"

namespace resnetc {
namespace {

[[noreturn]] void fail(const SafetensorsFile& file, const std::string& tensor, std::string_view what) {
  throw Error(fmt::format("{}: tensor {}: {}", file.path().string(), quote(tensor), what));
}

// The shape that PyTorch gives a tensor that we keep in dims.
std::vector<int64_t> file_shape(const std::vector<int>& dims) {
  if (dims.size() == 4) return {dims[0], dims[3], dims[1], dims[2]};
  return {dims.begin(), dims.end()};
}

std::string names_of(const std::vector<NamedTensor>& tensors) {
  std::string result;
  for (size_t i = 0; i < std::min<size_t>(tensors.size(), 5); i++) {
    result += fmt::format("{}{}", i == 0 ? "" : ", ", quote(tensors[i].tensor->name));
    if (tensors[i].name != tensors[i].tensor->name) result += fmt::format(" as {}", quote(tensors[i].name));
  }
  return tensors.size() > 5 ? result + ", …" : result;
}

bool is_of_head(const std::string& tensor, const WeightLoading& how) {
  return (!how.head_prefix.empty() && tensor.starts_with(how.head_prefix)) ||
         std::find(how.head_tensors.begin(), how.head_tensors.end(), tensor) != how.head_tensors.end();
}

// The file's tensors that the graph does not use, sorted by their names there.
std::vector<NamedTensor> left_over(const NamedTensors& tensors, const Graph& graph, const WeightLoading& how) {
  std::unordered_set<std::string_view> used;
  for (const Node& node : graph.nodes)
    if (const auto* weight = std::get_if<Weight>(&node.op)) used.insert(weight->tensor);
  std::vector<NamedTensor> result;
  for (const NamedTensor& tensor : tensors.all()) {
    const bool is_dropped = !how.has_head && is_of_head(tensor.name, how);
    if (!is_dropped && !used.contains(tensor.name)) result.push_back(tensor);
  }
  std::sort(result.begin(), result.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.tensor->name < b.tensor->name; });
  return result;
}

void check_names(const SafetensorsFile& file, const NamedTensors& tensors, const Graph& graph,
                 const WeightLoading& how) {
  const std::vector<NamedTensor> extra = left_over(tensors, graph, how);
  const Node* first_missing = nullptr;
  int missing = 0;
  for (const Node& node : graph.nodes) {
    const auto* weight = std::get_if<Weight>(&node.op);
    if (!weight || tensors.find(weight->tensor)) continue;
    if (missing++ == 0) first_missing = &node;
  }
  if (first_missing) {
    std::string what =
        fmt::format("is missing; the topology needs it as [{}]", fmt::join(file_shape(first_missing->type.dims), ","));
    if (missing > 1) what += fmt::format(", and {} more that are missing too", missing - 1);
    what += extra.empty() ? "; check that the file belongs to the topology"
                          : fmt::format(
                                "; the file has {} that the topology does not use ({}): check that they belong "
                                "together, and weights.names",
                                extra.size(), names_of(extra));
    fail(file, std::get<Weight>(first_missing->op).tensor, what);
  }
  if (extra.empty()) return;
  const std::string what = fmt::format("{}: the topology does not use {} of the tensors: {}", file.path().string(),
                                       extra.size(), names_of(extra));
  if (!how.ignore_extra) throw Error(what + "; check that the file belongs to the topology, or pass --ignore-extra");
  print_message("warning: {}\n", what);
}

// A dense layer may have been saved as a convolution of one pixel.
bool fits(const std::vector<int64_t>& shape, std::vector<int64_t> wanted) {
  if (shape == wanted) return true;
  if (wanted.size() == 2) wanted.insert(wanted.end(), {1, 1});
  return shape == wanted;
}

// name: by which the graph knows the tensor.
void check_type(const SafetensorsFile& file, const SafetensorsTensor& tensor, const std::string& name,
                const std::vector<int>& dims, const WeightLoading& how) {
  if (!converts_to_float(tensor.dtype))
    fail(file, tensor.name, fmt::format("has dtype {}; convert it to F32, F16 or BF16", tensor.dtype));
  const std::vector<int64_t> wanted = file_shape(dims);
  if (fits(tensor.shape, wanted)) return;
  std::string fix = "check that the file belongs to the topology";
  std::vector<int64_t> other_classes = wanted;
  if (!tensor.shape.empty()) other_classes[0] = tensor.shape[0];
  if (is_of_head(name, how) && fits(tensor.shape, other_classes))
    fix = fmt::format("give --classes {} or another file", tensor.shape[0]);
  fail(file, tensor.name,
       fmt::format("has shape [{}], but the topology needs [{}]; {}", fmt::join(tensor.shape, ","),
                   fmt::join(wanted, ","), fix));
}

// [rows][columns] -> [columns][rows]
void transpose(const float* from, size_t rows, size_t columns, float* to) {
  for (size_t c = 0; c < columns; c++)
    for (size_t r = 0; r < rows; r++) *to++ = from[r * columns + c];
}

bool is_finite(std::span<const float> values) {
  bool all = true;
  for (float v : values) all &= std::isfinite(v);  // no early exit, which would be slower
  return all;
}

[[noreturn]] void fail_value(const SafetensorsFile& file, const SafetensorsTensor& tensor, size_t index, float value,
                             std::string_view what) {
  fail(file, tensor.name, fmt::format("element {} is {}, {}; repair or train the weights again", index, value, what));
}

std::vector<float> read_values(const SafetensorsFile& file, const SafetensorsTensor& tensor,
                               const std::vector<int>& dims) {
  size_t row = 1;  // of one output channel
  for (size_t d = 1; d < dims.size(); d++) row *= static_cast<size_t>(dims[d]);
  std::vector<float> values(row * static_cast<size_t>(dims[0]));
  const bool is_conv = dims.size() == 4 && dims[1] * dims[2] > 1;
  const size_t step = is_conv ? row : values.size();
  std::vector<float> buffer(is_conv ? row : 0);
  for (size_t first = 0; first < values.size(); first += step) {
    const std::span<float> target(values.data() + first, step);
    const std::span<float> part = is_conv ? std::span<float>(buffer) : target;
    file.read(tensor, first, part);
    if (!is_finite(part)) {
      const auto bad = std::find_if(part.begin(), part.end(), [](float v) { return !std::isfinite(v); });
      fail_value(file, tensor, first + static_cast<size_t>(bad - part.begin()), *bad, "which is not finite");
    }
    if (is_conv)
      transpose(part.data(), static_cast<size_t>(dims[3]), row / static_cast<size_t>(dims[3]), target.data());
  }
  return values;
}

void check_digest(const SafetensorsFile& file, const Weight& weight) {
  if (weight.sha256.empty()) return;
  const auto* bytes = reinterpret_cast<const char*>(weight.values->data());
  if (const std::string found = sha256({bytes, weight.values->size() * sizeof(float)}); found != weight.sha256)
    fail(file, weight.tensor,
         fmt::format("has SHA-256 {}, but the topology says {}; check that they belong together, or leave it out there",
                     found, weight.sha256));
}

void load_file(Graph& graph, const SafetensorsFile& file, const WeightLoading& how) {
  const NamedTensors tensors(file, how.renames);
  check_names(file, tensors, graph, how);
  for (const Node& node : graph.nodes)
    if (const auto* weight = std::get_if<Weight>(&node.op))
      check_type(file, *tensors.find(weight->tensor), weight->tensor, node.type.dims, how);
  for (Node& node : graph.nodes) {
    if (auto* weight = std::get_if<Weight>(&node.op)) {
      std::vector<float> values = read_values(file, *tensors.find(weight->tensor), node.type.dims);
      if (node.type.dtype == DType::bf16) round_to_bf16(values);
      weight->values = std::make_shared<const std::vector<float>>(std::move(values));
      check_digest(file, *weight);
    } else if (std::holds_alternative<BatchNorm>(node.op)) {
      const auto& variance = std::get<Weight>(graph[node.inputs[4]].op);
      const auto negative =
          std::find_if(variance.values->begin(), variance.values->end(), [](float v) { return v < 0; });
      if (negative != variance.values->end())
        fail_value(file, *tensors.find(variance.tensor), static_cast<size_t>(negative - variance.values->begin()),
                   *negative, "but a variance is never negative");
    }
  }
}

}  // namespace

WeightSource parse_weight_source(const std::string& text) {
  constexpr std::string_view random = "random:";
  if (text.empty()) throw Error("weights are missing: give --weights FILE.safetensors, or --weights random:SEED");
  if (!text.starts_with(random)) return {text, std::nullopt};
  uint64_t seed = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + random.size(), end, seed);
  if (error != std::errc{} || stop != end)
    throw Error(fmt::format("--weights {}: the seed must be an integer from 0 to {}", quote(text), UINT64_MAX));
  return {{}, seed};
}

void load_weights(Graph& graph, const WeightSource& source, const WeightLoading& how) {
  if (source.seed) {
    fill_random_weights(graph, *source.seed);
  } else {
    load_file(graph, SafetensorsFile(source.file), how);
  }
}

}  // namespace resnetc
