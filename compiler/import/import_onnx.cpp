#include "compiler/import/import_onnx.h"

#include <fmt/format.h>
#include <onnx/onnx.pb.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compiler/files.h"
#include "compiler/graph_json.h"
#include "compiler/import/read_onnx.h"
#include "compiler/import/translate_model.h"
#include "compiler/message.h"
#include "compiler/model_file.h"

namespace resnetc {
namespace {

namespace fs = std::filesystem;

// torchvision's for the weights that it has for ImageNet: 256 and a crop of 224, or so for other sizes.
rn_preprocess imagenet_preprocess(const ModelFile& net) {
  if (net.channels != 3)
    throw Error(fmt::format("--preprocess imagenet: needs 3 channels, but the input has {}", net.channels));
  rn_preprocess how = {};
  how.resize = rn_resize_shorter_side;
  how.resize_height = how.resize_width =
      static_cast<int>(std::lround(std::min(net.size.h, net.size.w) * (256.0 / 224)));
  how.crop_height = net.size.h;
  how.crop_width = net.size.w;
  how.interpolation = rn_interpolate_bilinear;
  how.order = rn_order_rgb;
  how.scale = 1.0 / 255;
  const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  std::copy(std::begin(mean), std::end(mean), how.mean);
  std::copy(std::begin(std), std::end(std), how.std);
  return how;
}

rn_preprocess preprocess_of(const std::string& option, const ModelFile& net) {
  if (option == "imagenet") return imagenet_preprocess(net);
  const JsonValue json = JsonValue::read(option);
  const auto inner = json.find("preprocess");
  return read_preprocess(inner ? *inner : json, net);
}

// (x - mean) / std, then * scale + shift, is (x - (mean - shift * std / scale)) / (std / scale).
void normalise(rn_preprocess& how, const Affine& affine) {
  for (size_t c = 0; c < affine.scale.size(); c++) {
    how.mean[c] -= affine.shift[c] * how.std[c] / affine.scale[c];
    how.std[c] /= affine.scale[c];
  }
}

const TensorType& input_type(const Graph& graph) {
  return std::find_if(graph.nodes.begin(), graph.nodes.end(),
                      [](const Node& node) { return std::holds_alternative<Input>(node.op); })
      ->type;
}

// The text of a file that has a label for each class of the graph.
std::string checked_labels(const fs::path& file, const Graph& graph) {
  const TensorType& output = graph[graph.outputs[0]].type;
  if (output.is_image())
    throw Error(fmt::format("--labels {}: the output is an image, {}, which has no classes; leave it out",
                            file.string(), to_string(output)));
  return fmt::format("{}\n", fmt::join(read_labels_option(file, static_cast<size_t>(output.channels())), "\n"));
}

// A path as a word that a shell reads as it stands, and a command as no option.
std::string shell_word(const fs::path& path) {
  std::string text = path.string().starts_with('-') ? "./" + path.string() : path.string();
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || (c && std::strchr("/._-+,:@%", c)); };
  if (std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string word = "'";
  for (char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

nlohmann::ordered_json model_json(const TranslatedModel& model, const std::optional<rn_preprocess>& preprocess,
                                  const std::string& labels) {
  const nlohmann::ordered_json graph = graph_to_json(model.graph);
  nlohmann::ordered_json json;
  for (const auto& [key, value] : graph.items()) {
    json[key] = value;
    if (key == "input" && preprocess)
      json["preprocess"] = preprocess_to_json(*preprocess, input_type(model.graph).channels());
  }
  if (!labels.empty()) json["labels"] = labels;
  return json;
}

}  // namespace

void import_onnx(const ImportOptions& options) {
  const std::string name = name_from(options.model.stem().string());
  onnx::ModelProto proto;
  read_onnx(options.model, proto);
  const TranslatedModel model = translate_model(proto, options.model, name, !options.preprocess.empty());
  const std::string labels_text = options.labels.empty() ? "" : checked_labels(options.labels, model.graph);
  ModelFile net;
  net.file = options.model;
  net.name = name;
  net.channels = input_type(model.graph).channels();
  net.size = {input_type(model.graph).height(), input_type(model.graph).width()};
  std::optional<rn_preprocess> preprocess;
  if (!options.preprocess.empty()) preprocess = preprocess_of(options.preprocess, net);
  if (preprocess && model.normalisation) normalise(*preprocess, *model.normalisation);

  StagingFolder staging(options.output);
  const std::string json_name = name + ".json", weights_name = name + ".safetensors", labels_name = name + ".txt";
  std::vector<std::string> files = {weights_name, json_name};
  if (!labels_text.empty()) {
    write_file(staging.path() / labels_name, labels_text);
    files.insert(files.begin(), labels_name);
  }
  write_safetensors(staging.path() / weights_name, model.tensors);
  write_file(staging.path() / json_name,
             print_json(model_json(model, preprocess, labels_text.empty() ? "" : labels_name)));
  staging.publish(files);

  if (model.was_nhwc) print_message("note: images are N x H x W x C in the file; the model takes N x C x H x W\n");
  if (model.had_softmax)
    print_message(
        "note: left out the final Softmax: outputs are the values before it, and programs apply it for "
        "probabilities\n");
  if (model.normalisation) print_message("note: moved the normalisation of the input into the preprocessing\n");
  if (!preprocess)
    print_message("note: without --preprocess the compiled program takes --input X.npy, and no image files\n");
  const fs::path json_path = options.output / json_name;
  print_message("{}: written; compile it with: resnetc compile {} --weights {}\n", json_path.string(),
                shell_word(json_path), shell_word(options.output / weights_name));
}

}  // namespace resnetc
