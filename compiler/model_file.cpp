#include "compiler/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>

namespace resnetc {
namespace {

constexpr size_t most_name = 64;

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

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_character(char c) {
  return starts_name(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Functions such as pthread_create are there already.
bool is_taken_prefix(const std::string& symbol) {
  return symbol == "rn" || symbol == "halide" || symbol == "pthread";
}

std::string symbol_of(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string read_name(const JsonValue& json) {
  std::string name = json.text();
  const bool fits = !name.empty() && name.size() <= most_name && starts_name(name[0]) &&
                    std::all_of(name.begin(), name.end(), is_name_character);
  if (!fits)
    json.fail(fmt::format(
        "must be a letter followed by up to 63 letters, digits, '_' or '-', for it names files and C functions; got {}",
        quote(name)));
  const std::string symbol = symbol_of(name);
  if (is_c_keyword(symbol)) json.fail(fmt::format("{} is a keyword of C; choose another name", quote(name)));
  if (is_taken_prefix(symbol))
    json.fail(fmt::format("{} is a prefix of functions that the library needs; choose another name", quote(name)));
  return name;
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

void read_resize(const JsonValue& json, const ModelFile& net, rn_preprocess& how) {
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

// `size` scaled as its `side` became `new_side`, rounded.
int scaled(int size, int new_side, int side) {
  const int64_t result = (2 * int64_t{size} * new_side + side) / (2 * int64_t{side});
  if (result > most_resize)
    throw Error(fmt::format("--size: makes preprocess.resize {}, at most {} is possible", result, most_resize));
  return static_cast<int>(std::max<int64_t>(result, 1));
}

}  // namespace

std::string name_from(std::string_view text) {
  std::string name(text.substr(0, most_name));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_name_character(c); }, '_');
  const std::string symbol = symbol_of(name);
  if (name.empty() || !starts_name(name[0]) || is_c_keyword(symbol) || is_taken_prefix(symbol))
    name = ("net_" + name).substr(0, most_name);
  return name;
}

rn_preprocess read_preprocess(const JsonValue& json, const ModelFile& net) {
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

ModelFile read_model_file(const JsonValue& json, const std::filesystem::path& file,
                          const std::vector<std::string_view>& input_keys) {
  ModelFile net;
  net.file = file;
  net.name = read_name(json.at("name"));
  const JsonValue input = json.at("input");
  input.allow_keys(input_keys);
  net.channels = input.at("channels").integer(1, most_channels);
  net.size = {input.at("height").integer(1, most_side), input.at("width").integer(1, most_side)};
  if (const auto preprocess = json.find("preprocess")) net.preprocess = read_preprocess(*preprocess, net);
  return net;
}

void set_size(ModelFile& net, Hw size) {
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

std::filesystem::path read_labels_path(const JsonValue& json, const std::filesystem::path& file) {
  const std::string path = json.text();
  if (path.empty() || path.find('\0') != std::string::npos) json.fail("must be the path of a file");
  return file.parent_path() / path;
}

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

std::vector<std::string> read_labels_option(const std::filesystem::path& file, size_t classes) {
  std::vector<std::string> labels = read_labels(file);
  if (labels.size() != classes)
    throw Error(fmt::format("--labels: {} has {} labels for {} classes; give one a line for every class", file.string(),
                            labels.size(), classes));
  return labels;
}

}  // namespace resnetc
