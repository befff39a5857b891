#include "compiler/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "compiler/json_reader.h"

namespace resnetc {
namespace {

constexpr int most_channels = 65536;
constexpr int most_stages = 64;
constexpr int most_blocks = 10000;  // of a stage
constexpr int most_blocks_of_net = 40000;
constexpr int most_stride = 16;
constexpr int most_kernel = 64;

// C17's and what C23 adds to them.
bool is_c_keyword(const std::string& name) {
  static const std::set<std::string, std::less<>> keywords = {
      "alignas",       "alignof",  "auto",         "bool",    "break",        "case",   "char",   "const",
      "constexpr",     "continue", "default",      "do",      "double",       "else",   "enum",   "extern",
      "false",         "float",    "for",          "goto",    "if",           "inline", "int",    "long",
      "nullptr",       "register", "restrict",     "return",  "short",        "signed", "sizeof", "static",
      "struct",        "switch",   "true",         "typedef", "typeof",       "union",  "void",   "unsigned",
      "static_assert", "volatile", "thread_local", "while",   "typeof_unqual"};
  return keywords.contains(name);
}

std::string read_name(const JsonValue& json) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  std::string name = json.text();
  const bool fits = !name.empty() && name.size() <= 64 && is_letter(name[0]) &&
                    std::all_of(name.begin(), name.end(),
                                [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
  if (!fits)
    json.fail(fmt::format(
        "must be a letter followed by up to 63 letters, digits, '_' or '-', for it names files and C functions; got {}",
        quote(name)));
  std::string symbol = name;
  std::replace(symbol.begin(), symbol.end(), '-', '_');
  if (is_c_keyword(symbol)) json.fail(fmt::format("{} is a keyword of C; choose another name", quote(name)));
  return name;
}

int integer_or(const JsonValue& object, std::string_view key, int otherwise, int least, int most) {
  const std::optional<JsonValue> value = object.find(key);
  return value ? value->integer(least, most) : otherwise;
}

// n or [h, w]
Hw read_sides(const JsonValue& json, int most) {
  if (!json.is_array()) {
    const int side = json.integer(1, most);
    return {side, side};
  }
  const std::vector<JsonValue> sides = json.items(2, 2);
  return {sides[0].integer(1, most), sides[1].integer(1, most)};
}

// One number a channel of the input.
void read_per_channel(const JsonValue& json, int channels, double least, double most, double* values) {
  const std::vector<JsonValue> items = json.items(0, SIZE_MAX);
  if (items.size() != static_cast<size_t>(channels))
    json.fail(fmt::format("must have one number for each of the input's {} channels, got {}", channels, items.size()));
  for (size_t c = 0; c < items.size(); c++) values[c] = items[c].number(least, most);
}

void read_resize(const JsonValue& json, const Topology& net, rn_preprocess& how) {
  const Hw size = read_sides(json, most_resize);
  how.resize = json.is_array() ? rn_resize_exact : rn_resize_shorter_side;
  how.resize_height = size.h;
  how.resize_width = size.w;
  if (how.crop_height != 0) return;
  if (json.is_array() && size != net.size)
    json.fail(fmt::format("must be the input's [{}, {}] where there is no crop, got [{}, {}]", net.size.h, net.size.w,
                          size.h, size.w));
  const int shorter = std::min(net.size.h, net.size.w);
  if (!json.is_array() && size.h != shorter)
    json.fail(fmt::format("must be the input's shorter side {} where there is no crop, got {}", shorter, size.h));
}

int read_order(const std::optional<JsonValue>& json, int channels) {
  if (!json) return channels == 1 ? rn_order_gray : rn_order_rgb;
  const int order = json->choice<int>({{"rgb", rn_order_rgb}, {"bgr", rn_order_bgr}, {"gray", rn_order_gray}});
  const int wanted = order == rn_order_gray ? 1 : 3;
  if (wanted != channels)
    json->fail(fmt::format("{} makes {} channel{}, but input.channels is {}", quote(json->text()), wanted,
                           wanted == 1 ? "" : "s", channels));
  return order;
}

rn_preprocess read_preprocess(const JsonValue& json, const Topology& net) {
  json.allow_keys({"resize", "crop", "interpolation", "scale", "mean", "std", "order"});
  if (net.channels != 1 && net.channels != 3)
    json.fail(fmt::format("an image becomes an input of 1 or 3 channels, but input.channels is {}; leave it out",
                          net.channels));
  rn_preprocess how = {};
  if (const auto crop = json.find("crop")) {
    const Hw size = read_sides(*crop, most_side);
    if (size != net.size)
      crop->fail(fmt::format("must equal the input's height {} and width {}, got {} and {}", net.size.h, net.size.w,
                             size.h, size.w));
    how.crop_height = size.h;
    how.crop_width = size.w;
  }
  how.resize = rn_resize_none;
  if (const auto resize = json.find("resize")) read_resize(*resize, net, how);
  how.interpolation = rn_interpolate_bilinear;
  if (const auto interpolation = json.find("interpolation"))
    how.interpolation = interpolation->choice<int>({{"nearest", rn_interpolate_nearest},
                                                    {"bilinear", rn_interpolate_bilinear},
                                                    {"bicubic", rn_interpolate_bicubic}});
  how.order = read_order(json.find("order"), net.channels);
  const auto scale = json.find("scale");
  how.scale = scale ? scale->number(1e-9, 1e9) : 1.0 / 255;
  std::fill(how.std, how.std + 3, 1.0);
  if (const auto mean = json.find("mean")) read_per_channel(*mean, net.channels, -1e9, 1e9, how.mean);
  if (const auto std = json.find("std")) read_per_channel(*std, net.channels, 1e-9, 1e9, how.std);
  return how;
}

// stride: where the file gives none; 0: it must.
Window read_window(const JsonValue& json, int stride) {
  Window window;
  window.kernel = json.at("kernel").integer(1, most_kernel);
  window.stride =
      stride == 0 ? json.at("stride").integer(1, most_stride) : integer_or(json, "stride", stride, 1, most_stride);
  window.padding = integer_or(json, "padding", 0, 0, most_kernel);
  return window;
}

Stem read_stem(const JsonValue& json) {
  json.allow_keys({"channels", "kernel", "stride", "padding", "max_pool"});
  Stem stem;
  stem.channels = json.at("channels").integer(1, most_channels);
  stem.conv = read_window(json, 1);
  if (const auto pool = json.find("max_pool")) {
    pool->allow_keys({"kernel", "stride", "padding"});
    stem.max_pool = read_window(*pool, 0);
    if (stem.max_pool->padding >= stem.max_pool->kernel)
      pool->at("padding").fail(
          fmt::format("must be smaller than the kernel, {}, got {}", stem.max_pool->kernel, stem.max_pool->padding));
  }
  return stem;
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

Head read_head(const JsonValue& json, const std::filesystem::path& file) {
  json.allow_keys({"classes", "labels"});
  Head head;
  head.classes = json.at("classes").integer(1, most_classes);
  if (const auto labels = json.find("labels")) {
    const std::string path = labels->text();
    if (path.empty() || path.find('\0') != std::string::npos) labels->fail("must be the path of a file");
    head.labels = file.parent_path() / path;
  }
  return head;
}

}  // namespace

Topology read_topology(const std::filesystem::path& file) {
  const JsonValue json = JsonValue::read(file);
  json.allow_keys({"name", "input", "preprocess", "stem", "block", "shortcut", "groups", "width_per_group", "stages",
                   "head", "weights"});
  Topology net;
  net.file = file;
  net.name = read_name(json.at("name"));
  const JsonValue input = json.at("input");
  input.allow_keys({"channels", "height", "width"});
  net.channels = input.at("channels").integer(1, most_channels);
  net.size = {input.at("height").integer(1, most_side), input.at("width").integer(1, most_side)};
  if (const auto preprocess = json.find("preprocess")) net.preprocess = read_preprocess(*preprocess, net);
  if (const auto stem = json.find("stem")) net.stem = read_stem(*stem);
  net.block = json.at("block").choice<BlockKind>({{"basic", BlockKind::basic}, {"bottleneck", BlockKind::bottleneck}});
  if (const auto shortcut = json.find("shortcut"))
    net.shortcut = shortcut->choice<ShortcutKind>(
        {{"projection", ShortcutKind::projection}, {"zero_pad", ShortcutKind::zero_pad}});
  net.groups = integer_or(json, "groups", 1, 1, most_channels);
  net.width_per_group = integer_or(json, "width_per_group", 64, 1, most_channels);
  net.stages = read_stages(json.at("stages"));
  check_widths(json, net);
  if (net.shortcut == ShortcutKind::zero_pad) check_zero_pad(json, net);
  const JsonValue head = json.at("head", "; null makes a feature extractor");
  if (!head.is_null()) net.head = read_head(head, file);
  if (const auto weights = json.find("weights")) {
    weights->allow_keys({"names"});
    if (const auto names = weights->find("names"))
      net.names = names->choice<TensorNames>(
          {{"torchvision", TensorNames::torchvision}, {"akamaster", TensorNames::akamaster}});
  }
  return net;
}

}  // namespace resnetc
