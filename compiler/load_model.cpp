#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "compiler/build_resnet.h"
#include "compiler/json_reader.h"
#include "compiler/model.h"
#include "compiler/topology.h"
#include "compiler/weight_source.h"
#include "ir/verify.h"

namespace resnetc {
namespace {

// One a line, without the line's end.
std::vector<std::string> read_labels(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, 16);
  std::vector<std::string> labels;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string label = text.substr(start, end - start);
    start = end + 1;
    if (label.ends_with('\r')) label.pop_back();
    const auto fail = [&](std::string_view what) {
      throw Error(fmt::format("{}: line {}: {}", file.string(), labels.size() + 1, what));
    };
    if (label.empty()) fail("is empty; give every class a label");
    if (!is_plain_text(label)) fail("is not UTF-8 text, or holds control characters");
    labels.push_back(std::move(label));
  }
  return labels;
}

// `size` scaled as its `side` became `new_side`, rounded.
int scaled(int size, int new_side, int side) {
  const int64_t result = (2 * int64_t{size} * new_side + side) / (2 * int64_t{side});
  if (result > most_resize)
    throw Error(fmt::format("--size: makes preprocess.resize {}, at most {} is possible", result, most_resize));
  return static_cast<int>(std::max<int64_t>(result, 1));
}

void set_size(Topology& net, Hw size) {
  if (std::min(size.h, size.w) < 1 || std::max(size.h, size.w) > most_side)
    throw Error(fmt::format("--size {}x{}: height and width must be from 1 to {}", size.h, size.w, most_side));
  const Hw old = net.size;
  net.size = size;
  if (!net.preprocess) return;
  rn_preprocess& how = *net.preprocess;
  if (how.crop_height != 0) {
    how.crop_height = size.h;
    how.crop_width = size.w;
  }
  if (how.resize == rn_resize_shorter_side) {
    how.resize_height = scaled(how.resize_height, std::min(size.h, size.w), std::min(old.h, old.w));
    how.resize_width = how.resize_height;
  } else if (how.resize == rn_resize_exact) {
    how.resize_height = scaled(how.resize_height, size.h, old.h);
    how.resize_width = scaled(how.resize_width, size.w, old.w);
  }
}

void apply(const ModelOptions& options, Topology& net) {
  if (options.no_head) net.head.reset();
  if (options.classes) {
    if (!net.head) throw Error(fmt::format("--classes {}: needs a head", *options.classes));
    if (*options.classes < 1 || *options.classes > most_classes)
      throw Error(fmt::format("--classes {}: must be from 1 to {}", *options.classes, most_classes));
    net.head->classes = *options.classes;
  }
  if (options.size) set_size(net, *options.size);
  if (options.labels.empty()) return;
  if (!net.head) throw Error(fmt::format("--labels {}: needs a head", options.labels.string()));
  net.head->labels = options.labels;
}

std::vector<std::string> load_labels(const Topology& net, const ModelOptions& options) {
  if (!net.head || net.head->labels.empty()) return {};
  std::vector<std::string> labels = read_labels(net.head->labels);
  const auto classes = static_cast<size_t>(net.head->classes);
  if (labels.size() == classes) return labels;
  const std::string what =
      fmt::format("{} has {} labels for {} classes", net.head->labels.string(), labels.size(), classes);
  if (!options.labels.empty()) throw Error(fmt::format("--labels: {}; give one a line for every class", what));
  if (!options.classes) throw Error(fmt::format("{}: head.labels: {}", net.file.string(), what));
  fmt::print(stderr, "warning: {}: no labels, for {}; give fitting ones with --labels FILE\n", net.file.string(), what);
  return {};
}

}  // namespace

Model load_model(const std::filesystem::path& topology, const std::string& weights, const ModelOptions& options) {
  const WeightSource source = parse_weight_source(weights);
  Topology net = read_topology(topology);
  apply(options, net);
  Model model;
  model.name = net.name;
  model.has_head = net.head.has_value();
  model.preprocess = net.preprocess;
  model.labels = load_labels(net, options);
  model.graph = build_resnet(net);
  load_weights(model.graph, source, {options.ignore_extra, head_prefix(net.names), model.has_head});
  verify(model.graph);
  return model;
}

}  // namespace resnetc
