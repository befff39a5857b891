#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "compiler/build_resnet.h"
#include "compiler/graph_file.h"
#include "compiler/json_reader.h"
#include "compiler/message.h"
#include "compiler/model.h"
#include "compiler/topology.h"
#include "compiler/weight_source.h"
#include "ir/verify.h"

namespace resnetc {
namespace {

// key: where the model file says `file`.
std::vector<std::string> load_labels(const ModelFile& net, const std::filesystem::path& file, std::string_view key,
                                     size_t classes, const ModelOptions& options) {
  if (!options.labels.empty()) return read_labels_option(file, classes);
  std::vector<std::string> labels = read_labels(file);
  if (labels.size() == classes) return labels;
  const std::string what = fmt::format("{} has {} labels for {} classes", file.string(), labels.size(), classes);
  if (!options.classes) throw Error(fmt::format("{}: {}: {}", net.file.string(), key, what));
  print_message("warning: {}: no labels, for {}; give fitting ones with --labels FILE\n", net.file.string(), what);
  return {};
}

// --labels, or else what the file says.
std::filesystem::path labels_file(const std::filesystem::path& of_file, bool has_head, const ModelOptions& options) {
  if (!has_head && !options.labels.empty())
    throw Error(fmt::format("--labels {}: needs a head", options.labels.string()));
  if (!has_head) return {};
  return options.labels.empty() ? of_file : options.labels;
}

void check_classes(const ModelOptions& options) {
  if (options.classes && (*options.classes < 1 || *options.classes > most_classes))
    throw Error(fmt::format("--classes {}: must be from 1 to {}", *options.classes, most_classes));
}

struct Unloaded {
  Model model;
  WeightLoading how;
};

Unloaded from_blocks(const JsonValue& json, const std::filesystem::path& file, const ModelOptions& options) {
  Topology net = read_topology(json, file);
  if (options.no_head) net.head.reset();
  if (options.classes) {
    if (!net.head) throw Error(fmt::format("--classes {}: needs a head", *options.classes));
    check_classes(options);
    net.head->classes = *options.classes;
  }
  if (options.size) set_size(net, *options.size);
  Model model;
  model.name = net.name;
  model.has_head = net.head.has_value();
  model.preprocess = net.preprocess;
  if (const auto labels = labels_file(net.head ? net.head->labels : "", model.has_head, options); !labels.empty())
    model.labels = load_labels(net, labels, "head.labels", static_cast<size_t>(net.head->classes), options);
  model.graph = build_resnet(net);
  return {std::move(model),
          {options.ignore_extra, head_prefix(net.names), {}, net.head.has_value(), std::move(net.renames)}};
}

Unloaded from_graph(const JsonValue& json, const std::filesystem::path& file, const ModelOptions& options) {
  GraphFile net = read_graph_file(json, file, options.size);
  WeightLoading how{options.ignore_extra, "", head_tensors(net.graph), true};
  if (options.no_head) cut_head(net.graph);
  Model model;
  const TensorType type = net.graph[net.graph.outputs[0]].type;
  model.has_head = how.has_head = !type.is_image();
  if (options.classes) {
    if (!model.has_head) throw Error(fmt::format("--classes {}: needs a head", *options.classes));
    check_classes(options);
    set_classes(net.graph, *options.classes);
  }
  model.name = net.name;
  model.preprocess = net.preprocess;
  const auto classes = static_cast<size_t>(net.graph[net.graph.outputs[0]].type.channels());
  if (const auto labels = labels_file(net.labels, model.has_head, options); !labels.empty())
    model.labels = load_labels(net, labels, "labels", classes, options);
  model.graph = std::move(net.graph);
  return {std::move(model), std::move(how)};
}

Unloaded read_unloaded(const std::filesystem::path& file, const ModelOptions& options) {
  const JsonValue json = JsonValue::read(file);
  Unloaded result = json.find("graph") ? from_graph(json, file, options) : from_blocks(json, file, options);
  verify(result.model.graph);
  return result;
}

}  // namespace

Model read_model(const std::filesystem::path& topology, const ModelOptions& options) {
  return read_unloaded(topology, options).model;
}

Model load_model(const std::filesystem::path& topology, const std::string& weights, const ModelOptions& options) {
  const WeightSource source = parse_weight_source(weights);
  Unloaded result = read_unloaded(topology, options);
  load_weights(result.model.graph, source, result.how);
  verify(result.model.graph);
  return std::move(result.model);
}

}  // namespace resnetc
