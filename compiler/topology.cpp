#include "compiler/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "compiler/json_reader.h"

namespace resnetc {
namespace {

constexpr int most_stages = 64;
constexpr int most_blocks = 10000;  // of a stage
constexpr int most_blocks_of_net = 40000;
constexpr int most_stride = 16;
constexpr int most_kernel = 64;
constexpr size_t most_deep = 8;  // convolutions of a stem before its last one
constexpr size_t most_rules = 32;
constexpr size_t most_pattern = 256;  // characters

int integer_or(const JsonValue& object, std::string_view key, int otherwise, int least, int most) {
  const std::optional<JsonValue> value = object.find(key);
  return value ? value->integer(least, most) : otherwise;
}

Activation read_activation(const JsonValue& json) {
  return json.choice<Activation>({{"post", Activation::post}, {"pre", Activation::pre}});
}

// n, [top, left, bottom, right] or "same"
Padding read_padding(const JsonValue& json, int most) {
  if (json.is_array()) {
    const std::vector<JsonValue> sides = json.items(4, 4);
    const auto side = [&](size_t i) { return sides[i].integer(0, most); };
    return {{side(0), side(1), side(2), side(3)}, false};
  }
  if (json.is_number()) return {all_sides(json.integer(0, most)), false};
  if (!json.is_text() || json.text() != "same") json.fail_wanted("an integer, [top, left, bottom, right] or \"same\"");
  return {{}, true};
}

// stride: where the file gives none; 0: it must.
Window read_window(const JsonValue& json, int stride) {
  Window window;
  window.kernel = json.at("kernel").integer(1, most_kernel);
  window.stride =
      stride == 0 ? json.at("stride").integer(1, most_stride) : integer_or(json, "stride", stride, 1, most_stride);
  if (const auto padding = json.find("padding")) window.padding = read_padding(*padding, most_kernel);
  return window;
}

Window read_max_pool(const JsonValue& json) {
  json.allow_keys({"kernel", "stride", "padding"});
  const Window pool = read_window(json, 0);
  const Sides& sides = pool.padding.sides;
  if (const int most = std::max({sides.top, sides.left, sides.bottom, sides.right}); most >= pool.kernel)
    json.at("padding").fail(fmt::format("must be smaller than the kernel, {}, got {}", pool.kernel, most));
  return pool;
}

// activation: the net's.
Stem read_stem(const JsonValue& json, Activation activation) {
  json.allow_keys({"channels", "kernel", "stride", "padding", "deep", "activation", "max_pool"});
  Stem stem;
  stem.channels = json.at("channels").integer(1, most_channels);
  stem.conv = read_window(json, 1);
  if (const auto deep = json.find("deep"))
    for (const JsonValue& channels : deep->items(1, most_deep)) stem.deep.push_back(channels.integer(1, most_channels));
  stem.activation = activation;
  if (const auto own = json.find("activation")) {
    stem.activation = read_activation(*own);
    if (stem.activation == Activation::pre && activation == Activation::post)
      own->fail("must be \"post\" as the net's, or else nothing comes after the stem's convolution");
  }
  if (const auto pool = json.find("max_pool")) stem.max_pool = read_max_pool(*pool);
  return stem;
}

std::optional<double> read_batch_norm(const JsonValue& json) {
  const std::optional<double> usual = ConvStyle{}.epsilon;
  if (json.is_boolean()) return json.boolean() ? usual : std::nullopt;
  if (!json.is_object()) json.fail_wanted("true, false or an object such as {\"epsilon\": 1e-5}");
  json.allow_keys({"epsilon"});
  const auto epsilon = json.find("epsilon");
  return epsilon ? epsilon->number(1e-12, 1) : usual;
}

void read_conv_style(const JsonValue& json, ConvStyle& style) {
  if (const auto norm = json.find("batch_norm")) style.epsilon = read_batch_norm(*norm);
  if (const auto bias = json.find("conv_bias")) style.bias = bias->boolean();
}

// A projection is like the net's convolutions, but for the batch norm, which comes before it in a v2 net.
Shortcut read_shortcut(const std::optional<JsonValue>& json, const Topology& net) {
  Shortcut shortcut;
  shortcut.conv = net.conv;
  if (net.activation == Activation::pre) shortcut.conv.epsilon.reset();
  if (!json) return shortcut;
  if (!json->is_text() && !json->is_object()) json->fail_wanted("\"projection\", \"zero_pad\" or an object");
  if (json->is_object()) json->allow_keys({"kind", "average_pool", "batch_norm", "conv_bias"});
  const JsonValue kind = json->is_object() ? json->at("kind") : *json;
  shortcut.kind =
      kind.choice<ShortcutKind>({{"projection", ShortcutKind::projection}, {"zero_pad", ShortcutKind::zero_pad}});
  if (!json->is_object()) return shortcut;
  if (shortcut.kind == ShortcutKind::zero_pad)
    for (const auto& [key, value] : json->members())
      if (key != "kind") value.fail("only a \"projection\" has it");
  shortcut.average_pool = integer_or(*json, "average_pool", 0, 1, most_kernel);
  read_conv_style(*json, shortcut.conv);
  return shortcut;
}

std::vector<Stage> read_stages(const JsonValue& json) {
  std::vector<Stage> stages;
  int blocks = 0;
  for (const JsonValue& item : json.items(1, most_stages)) {
    item.allow_keys({"blocks", "channels", "stride"});
    stages.push_back({item.at("blocks").integer(1, most_blocks), item.at("channels").integer(1, most_channels),
                      integer_or(item, "stride", 1, 1, most_stride)});
    blocks += stages.back().blocks;
  }
  if (blocks > most_blocks_of_net)
    json.fail(fmt::format("must have at most {} blocks in all, got {}", most_blocks_of_net, blocks));
  return stages;
}

StrideOn read_stride_on(const JsonValue& json, BlockKind block) {
  const auto result = json.choice<StrideOn>({{"3x3", StrideOn::conv3x3}, {"1x1", StrideOn::conv1x1}});
  if (block == BlockKind::basic && result == StrideOn::conv1x1)
    json.fail("must be \"3x3\" for \"basic\" blocks; only \"bottleneck\" ones have another");
  return result;
}

// The channels between a bottleneck's convolutions.
void check_widths(const JsonValue& json, const Topology& net) {
  if (net.block == BlockKind::basic) {
    for (const auto& [key, plain] : {std::pair{"groups", 1}, std::pair{"width_per_group", 64}})
      if (const auto value = json.find(key); value && value->integer(1, most_channels) != plain)
        value->fail(fmt::format("must be {} for \"basic\" blocks; only \"bottleneck\" ones have another", plain));
    return;
  }
  const std::vector<JsonValue> stages = json.at("stages").items(1, most_stages);
  for (size_t i = 0; i < stages.size(); i++) {
    const int64_t width = int64_t{net.stages[i].channels} * net.width_per_group / 64 * net.groups;
    if (width < 1 || width > most_channels)
      stages[i]
          .at("channels")
          .fail(fmt::format("channels * width_per_group / 64 * groups must be from 1 to {}, is {}", most_channels,
                            width));
  }
}

void check_zero_pad(const JsonValue& json, const Topology& net) {
  const std::vector<JsonValue> stages = json.at("stages").items(1, most_stages);
  int before = net.stem ? net.stem->channels : net.channels;
  for (size_t i = 0; i < stages.size(); i++) {
    const int after = net.stages[i].channels * (net.block == BlockKind::bottleneck ? 4 : 1);
    if (after < before || (after - before) % 2 != 0)
      stages[i]
          .at("channels")
          .fail(fmt::format("a \"zero_pad\" shortcut adds as many channels on either side, but cannot make {} of {}",
                            after, before));
    before = after;
  }
}

void read_names(const JsonValue& json, Topology& net) {
  if (!json.is_text() && !json.is_object())
    json.fail_wanted("\"torchvision\", \"akamaster\" or an object of patterns and what replaces them");
  if (json.is_text()) {
    net.names =
        json.choice<TensorNames>({{"torchvision", TensorNames::torchvision}, {"akamaster", TensorNames::akamaster}});
    return;
  }
  const auto rules = json.members();
  if (rules.size() > most_rules)
    json.fail(fmt::format("must have at most {} patterns, got {}", most_rules, rules.size()));
  for (const auto& [pattern, replacement] : rules) {
    if (pattern.empty() || pattern.size() > most_pattern)
      replacement.fail(fmt::format("a pattern must have 1 to {} bytes, got {}", most_pattern, pattern.size()));
    const std::string by = replacement.text();
    if (by.size() > most_pattern)
      replacement.fail(fmt::format("must have at most {} bytes, got {}", most_pattern, by.size()));
    try {
      net.renames.emplace_back(pattern, by);
    } catch (const std::invalid_argument& e) {
      replacement.fail(e.what());
    }
  }
}

Head read_head(const JsonValue& json, const std::filesystem::path& file) {
  json.allow_keys({"classes", "labels"});
  Head head;
  head.classes = json.at("classes").integer(1, most_classes);
  if (const auto labels = json.find("labels")) head.labels = read_labels_path(*labels, file);
  return head;
}

}  // namespace

Topology read_topology(const std::filesystem::path& file) {
  return read_topology(JsonValue::read(file), file);
}

Topology read_topology(const JsonValue& json, const std::filesystem::path& file) {
  json.allow_keys({"name", "input", "preprocess", "stem", "block", "stride_on", "activation", "padding", "batch_norm",
                   "conv_bias", "shortcut", "groups", "width_per_group", "stages", "head", "weights"});
  Topology net;
  static_cast<ModelFile&>(net) = read_model_file(json, file);
  if (const auto activation = json.find("activation")) net.activation = read_activation(*activation);
  if (const auto stem = json.find("stem")) net.stem = read_stem(*stem, net.activation);
  net.block = json.at("block").choice<BlockKind>({{"basic", BlockKind::basic}, {"bottleneck", BlockKind::bottleneck}});
  if (const auto stride_on = json.find("stride_on")) net.stride_on = read_stride_on(*stride_on, net.block);
  if (const auto padding = json.find("padding")) net.padding = read_padding(*padding, 2);
  read_conv_style(json, net.conv);
  net.shortcut = read_shortcut(json.find("shortcut"), net);
  net.groups = integer_or(json, "groups", 1, 1, most_channels);
  net.width_per_group = integer_or(json, "width_per_group", 64, 1, most_channels);
  net.stages = read_stages(json.at("stages"));
  check_widths(json, net);
  if (net.shortcut.kind == ShortcutKind::zero_pad) check_zero_pad(json, net);
  const JsonValue head = json.at("head", "; null makes a feature extractor");
  if (!head.is_null()) net.head = read_head(head, file);
  if (const auto weights = json.find("weights")) {
    weights->allow_keys({"names"});
    if (const auto names = weights->find("names")) read_names(*names, net);
  }
  return net;
}

}  // namespace resnetc
