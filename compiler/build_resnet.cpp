#include "compiler/build_resnet.h"

#include <fmt/format.h>

namespace resnetc {
namespace {

constexpr int64_t most_elements = int64_t{1} << 31;

// A convolution as ResNets use it.
struct ConvShape {
  int channels;
  int kernel;
  int stride = 1;
  int padding = 0;
  int groups = 1;
};

class ResnetBuilder {
 public:
  explicit ResnetBuilder(const Topology& net) : net_(net), builder_(net.name) {}

  Graph build() && {
    Value x = builder_.input("input", image_type(net_.size.h, net_.size.w, net_.channels));
    if (net_.stem) x = stem(*net_.stem, x);
    for (size_t s = 0; s < net_.stages.size(); s++) {
      const Stage& stage = net_.stages[s];
      for (int b = 0; b < stage.blocks; b++)
        x = block(fmt::format("layer{}.{}.", s + 1, b), x, stage.channels, b == 0 ? stage.stride : 1);
    }
    if (net_.head) x = head(*net_.head, x);
    return std::move(builder_).finish({x});
  }

 private:
  const Topology& net_;
  Builder builder_;

  int channels(Value x) const { return builder_.graph()[x].type.channels(); }

  Value weight(const std::string& name, std::vector<int> dims) {
    return builder_.weight(name, Weight{name, "", nullptr}, weight_type(std::move(dims)));
  }

  Value conv(const std::string& name, Value x, const ConvShape& shape) {
    const Value w = weight(name + ".weight", {shape.channels, shape.kernel, shape.kernel, channels(x) / shape.groups});
    Conv2d op;
    op.stride = {shape.stride, shape.stride};
    op.padding = all_sides(shape.padding);
    op.groups = shape.groups;
    return builder_.add(name, op, {x, w});
  }

  Value batch_norm(const std::string& name, Value x) {
    std::vector<Value> inputs = {x};
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      inputs.push_back(weight(name + part, {channels(x)}));
    return builder_.add(name, BatchNorm{}, std::move(inputs));
  }

  Value stem(const Stem& shape, Value x) {
    x = conv("conv1", x, {shape.channels, shape.conv.kernel, shape.conv.stride, shape.conv.padding});
    x = batch_norm("bn1", x);
    x = builder_.add("relu1", Relu{}, {x});
    if (!shape.max_pool) return x;
    const auto& [kernel, stride, padding] = *shape.max_pool;
    return builder_.add("maxpool", MaxPool{{kernel, kernel}, {stride, stride}, all_sides(padding)}, {x});
  }

  // The convolutions of a block, a batch norm after each and a ReLU between them. A bottleneck strides in its 3x3
  // convolution (v1.5).
  std::vector<ConvShape> branch(int stage_channels, int stride) const {
    if (net_.block == BlockKind::basic) return {{stage_channels, 3, stride, 1}, {stage_channels, 3, 1, 1}};
    const int width = static_cast<int>(int64_t{stage_channels} * net_.width_per_group / 64) * net_.groups;
    return {{width, 1}, {width, 3, stride, 1, net_.groups}, {4 * stage_channels, 1}};
  }

  // relu(branch(x) + shortcut(x))
  Value block(const std::string& prefix, Value x, int stage_channels, int stride) {
    const std::vector<ConvShape> shapes = branch(stage_channels, stride);
    Value y = x;
    for (size_t i = 0; i < shapes.size(); i++) {
      y = conv(fmt::format("{}conv{}", prefix, i + 1), y, shapes[i]);
      y = batch_norm(fmt::format("{}bn{}", prefix, i + 1), y);
      if (i + 1 < shapes.size()) y = builder_.add(fmt::format("{}relu{}", prefix, i + 1), Relu{}, {y});
    }
    Add add;
    if (stride != 1 || channels(x) != channels(y)) {
      if (net_.shortcut == ShortcutKind::zero_pad) {
        add = {stride, (channels(y) - channels(x)) / 2};
      } else {
        const std::string name = prefix + (net_.names == TensorNames::akamaster ? "shortcut" : "downsample");
        x = conv(name + ".0", x, {channels(y), 1, stride});
        x = batch_norm(name + ".1", x);
      }
    }
    y = builder_.add(prefix + "add", add, {y, x});
    return builder_.add(prefix + "relu", Relu{}, {y});
  }

  Value head(const Head& shape, Value x) {
    const int features = channels(x);
    x = builder_.add("avgpool", GlobalAveragePool{}, {x});
    const std::string prefix = head_prefix(net_.names);
    const Value w = weight(prefix + "weight", {shape.classes, features});
    const Value b = weight(prefix + "bias", {shape.classes});
    return builder_.add("fc", Dense{}, {x, w, b});
  }
};

void check_size(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (node.type.is_activation() && element_count(node.type) > most_elements)
      throw Error(
          fmt::format("node %{}: {} holds {} elements, at most {} are possible; make the input smaller or the "
                      "stages narrower",
                      node.name, to_string(node.type), element_count(node.type), most_elements));
  if (const int64_t parameters = parameter_count(graph); parameters > most_elements)
    throw Error(fmt::format("the net has {} parameters, at most {} are possible; give it fewer blocks or channels",
                            parameters, most_elements));
}

}  // namespace

Graph build_resnet(const Topology& net) {
  try {
    Graph graph = ResnetBuilder(net).build();
    check_size(graph);
    return graph;
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", net.file.string(), e.what()));
  }
}

std::string head_prefix(TensorNames names) {
  return names == TensorNames::akamaster ? "linear." : "fc.";
}

}  // namespace resnetc
