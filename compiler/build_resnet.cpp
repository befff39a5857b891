#include "compiler/build_resnet.h"

#include <fmt/format.h>

#include <algorithm>

namespace resnetc {
namespace {

constexpr int64_t most_elements = int64_t{1} << 31;

// A convolution as ResNets use it.
struct ConvShape {
  int channels;
  int kernel;
  int stride = 1;
  Padding padding = {};
  int groups = 1;
};

// By how much windows of that size, as many as there are every `stride` pixels of `size`, reach beyond it.
int excess(int size, int kernel, int stride) {
  const int count = (size - 1) / stride + 1;
  return std::max((count - 1) * stride + kernel - size, 0);
}

class ResnetBuilder {
 public:
  explicit ResnetBuilder(const Topology& net) : net_(net), builder_(net.name) {}

  Graph build() && {
    Value x = builder_.input("input", image_type(net_.size.h, net_.size.w, net_.channels));
    if (net_.stem) x = stem(*net_.stem, x);
    // Of the first block in a v2 net, where the stem has done it.
    bool is_activated = net_.stem && net_.stem->activation == Activation::post;
    for (size_t s = 0; s < net_.stages.size(); s++) {
      const Stage& stage = net_.stages[s];
      for (int b = 0; b < stage.blocks; b++) {
        const Block block{fmt::format("layer{}.{}.", s + 1, b), stage.channels, b == 0 ? stage.stride : 1};
        x = net_.activation == Activation::post ? post_activation(block, x) : pre_activation(block, x, is_activated);
        is_activated = false;
      }
    }
    if (net_.activation == Activation::pre) x = relu("relu", batch_norm("bn", x, net_.conv));
    if (net_.head) x = head(*net_.head, x);
    return std::move(builder_).finish({x});
  }

 private:
  struct Block {
    std::string prefix;  // of its names
    int channels;        // as the stage says
    int stride;
  };
  const Topology& net_;
  Builder builder_;

  const TensorType& type(Value x) const { return builder_.graph()[x].type; }
  int channels(Value x) const { return type(x).channels(); }

  Value weight(const std::string& name, std::vector<int> dims) {
    return builder_.weight(name, Weight{name, "", nullptr}, weight_type(std::move(dims)));
  }

  Sides sides(const Padding& padding, Value x, int kernel, int stride) const {
    if (!padding.same) return padding.sides;
    const int h = excess(type(x).height(), kernel, stride), w = excess(type(x).width(), kernel, stride);
    return {h / 2, w / 2, h - h / 2, w - w / 2};
  }

  Value conv(const std::string& name, Value x, const ConvShape& shape, const ConvStyle& style) {
    std::vector<Value> inputs = {x};
    inputs.push_back(
        weight(name + ".weight", {shape.channels, shape.kernel, shape.kernel, channels(x) / shape.groups}));
    if (style.bias) inputs.push_back(weight(name + ".bias", {shape.channels}));
    Conv2d op;
    op.stride = {shape.stride, shape.stride};
    op.padding = sides(shape.padding, x, shape.kernel, shape.stride);
    op.groups = shape.groups;
    return builder_.add(name, op, std::move(inputs));
  }

  Value batch_norm(const std::string& name, Value x, const ConvStyle& style) {
    if (!style.epsilon) return x;
    std::vector<Value> inputs = {x};
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      inputs.push_back(weight(name + part, {channels(x)}));
    return builder_.add(name, BatchNorm{*style.epsilon}, std::move(inputs));
  }

  Value relu(const std::string& name, Value x) { return builder_.add(name, Relu{}, {x}); }

  // A deep stem's convolutions are numbered as if they, their batch norms and ReLUs were one sequence.
  Value stem(const Stem& shape, Value x) {
    const auto& [kernel, stride, padding] = shape.conv;
    for (size_t i = 0; i < shape.deep.size(); i++) {
      x = conv(fmt::format("conv1.{}", 3 * i), x, {shape.deep[i], kernel, i == 0 ? stride : 1, padding}, net_.conv);
      x = relu(fmt::format("conv1.{}", 3 * i + 2), batch_norm(fmt::format("conv1.{}", 3 * i + 1), x, net_.conv));
    }
    const bool is_deep = !shape.deep.empty();
    const std::string name = is_deep ? fmt::format("conv1.{}", 3 * shape.deep.size()) : "conv1";
    x = conv(name, x, {shape.channels, kernel, is_deep ? 1 : stride, padding}, net_.conv);
    if (shape.activation == Activation::post) x = relu("relu1", batch_norm("bn1", x, net_.conv));
    if (!shape.max_pool) return x;
    const Window& pool = *shape.max_pool;
    const MaxPool op{
        {pool.kernel, pool.kernel}, {pool.stride, pool.stride}, sides(pool.padding, x, pool.kernel, pool.stride)};
    return builder_.add("maxpool", op, {x});
  }

  std::vector<ConvShape> branch(const Block& block) const {
    const Padding& padding = net_.padding;
    if (net_.block == BlockKind::basic)
      return {{block.channels, 3, block.stride, padding}, {block.channels, 3, 1, padding}};
    const int width = static_cast<int>(int64_t{block.channels} * net_.width_per_group / 64) * net_.groups;
    const bool first = net_.stride_on == StrideOn::conv1x1;
    return {{width, 1, first ? block.stride : 1},
            {width, 3, first ? 1 : block.stride, padding, net_.groups},
            {4 * block.channels, 1}};
  }

  // relu(branch(x) + shortcut(x)), a batch norm after each convolution and a ReLU between them
  Value post_activation(const Block& block, Value x) {
    const std::vector<ConvShape> shapes = branch(block);
    Value y = x;
    for (size_t i = 0; i < shapes.size(); i++) {
      y = conv(fmt::format("{}conv{}", block.prefix, i + 1), y, shapes[i], net_.conv);
      y = batch_norm(fmt::format("{}bn{}", block.prefix, i + 1), y, net_.conv);
      if (i + 1 < shapes.size()) y = relu(fmt::format("{}relu{}", block.prefix, i + 1), y);
    }
    return relu(block.prefix + "relu", add_shortcut(block, y, x, x));
  }

  // branch(x) + shortcut(x), a batch norm and a ReLU before each convolution. A shortcut that changes the shape reads
  // what the first of these ReLUs made, as He et al.'s own code has it.
  Value pre_activation(const Block& block, Value x, bool is_activated) {
    const std::vector<ConvShape> shapes = branch(block);
    Value y = x, activated = x;
    for (size_t i = 0; i < shapes.size(); i++) {
      if (i > 0 || !is_activated) {
        y = batch_norm(fmt::format("{}bn{}", block.prefix, i + 1), y, net_.conv);
        y = relu(fmt::format("{}relu{}", block.prefix, i + 1), y);
      }
      if (i == 0) activated = y;
      y = conv(fmt::format("{}conv{}", block.prefix, i + 1), y, shapes[i], net_.conv);
    }
    return add_shortcut(block, y, x, activated);
  }

  // y + x, or else y + shortcut(from) where the shape changes.
  Value add_shortcut(const Block& block, Value y, Value x, Value from) {
    Add add;
    if (block.stride != 1 || channels(x) != channels(y)) {
      x = from;
      if (net_.shortcut.kind == ShortcutKind::zero_pad) {
        add = {block.stride, (channels(y) - channels(x)) / 2};
      } else {
        x = projection(block, x, channels(y));
      }
    }
    check_sizes(block, add, y, x);
    return builder_.add(block.prefix + "add", add, {y, x});
  }

  // As a sequence whose first member is the average pool if the net has it, even where it has nothing to do.
  Value projection(const Block& block, Value x, int to_channels) {
    const std::string name = block.prefix + (net_.names == TensorNames::akamaster ? "shortcut." : "downsample.");
    int stride = block.stride, index = 0;
    if (const int kernel = net_.shortcut.average_pool) {
      if (stride != 1) x = builder_.add(name + "0", average_pool(x, kernel, stride), {x});
      stride = 1;
      index++;
    }
    x = conv(fmt::format("{}{}", name, index), x, {to_channels, 1, stride}, net_.shortcut.conv);
    return batch_norm(fmt::format("{}{}", name, index + 1), x, net_.shortcut.conv);
  }

  // Windows begin at every stride-th pixel, and end at the image's edge at the latest.
  AveragePool average_pool(Value x, int kernel, int stride) const {
    const int h = excess(type(x).height(), kernel, stride), w = excess(type(x).width(), kernel, stride);
    return {{kernel, kernel}, {stride, stride}, {0, 0, h, w}};
  }

  void check_sizes(const Block& block, const Add& add, Value y, Value x) const {
    const auto sampled = [&](int size) { return (size - 1) / add.subsample + 1; };
    const int h = sampled(type(x).height()), w = sampled(type(x).width());
    if (type(y).height() == h && type(y).width() == w) return;
    throw Error(
        fmt::format("padding: block {} makes images of {}x{}, but its shortcut of {}x{}; give a padding that "
                    "keeps the size, such as 1 or \"same\"",
                    block.prefix.substr(0, block.prefix.size() - 1), type(y).height(), type(y).width(), h, w));
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
