#include "compiler/inspect/recognise.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace resnetc {
namespace {

struct Conv {
  int kernel, stride, groups, channels;
};

// One residual block: two chains of nodes from the value where they part to the addition.
struct Block {
  Value input = -1;
  std::vector<Conv> convs;  // of the branch, in order
  int outputs = 0;
  bool has_identity = false, has_pooled_shortcut = false, has_zero_pad = false;

  int stride() const {
    int product = 1;
    for (const Conv& conv : convs) product *= conv.stride;
    return product;
  }
};

bool ends_chain(const Op& op) {
  return std::holds_alternative<Add>(op) || std::holds_alternative<MaxPool>(op) || std::holds_alternative<Input>(op);
}

// A value and those that it comes from, back to an addition, a max pool or the input.
std::vector<Value> chain_from(const Graph& graph, Value value) {
  std::vector<Value> chain = {value};
  while (!ends_chain(graph[chain.back()].op) && !graph[chain.back()].inputs.empty())
    chain.push_back(graph[chain.back()].inputs[0]);
  return chain;
}

std::vector<Conv> convs_of(const Graph& graph, const std::vector<Value>& chain, size_t count) {
  std::vector<Conv> convs;
  for (size_t i = count; i-- > 0;)
    if (const auto* conv = std::get_if<Conv2d>(&graph[chain[i]].op)) {
      const std::vector<int>& weight = graph[graph[chain[i]].inputs[1]].type.dims;
      convs.push_back({weight[1] == weight[2] ? weight[1] : 0, conv->stride.h, conv->groups, weight[0]});
    }
  return convs;
}

std::optional<Block> block_of(const Graph& graph, const Node& node) {
  const std::vector<Value> a = chain_from(graph, node.inputs[0]), b = chain_from(graph, node.inputs[1]);
  const auto parting =
      std::find_if(a.begin(), a.end(), [&](Value v) { return std::find(b.begin(), b.end(), v) != b.end(); });
  if (parting == a.end()) return std::nullopt;
  const auto a_count = static_cast<size_t>(parting - a.begin());
  const auto b_count = static_cast<size_t>(std::find(b.begin(), b.end(), *parting) - b.begin());
  const std::vector<Conv> a_convs = convs_of(graph, a, a_count), b_convs = convs_of(graph, b, b_count);
  const bool a_is_branch = a_convs.size() > b_convs.size();
  const std::vector<Conv>& shortcut = a_is_branch ? b_convs : a_convs;
  const std::vector<Value>& shortcut_chain = a_is_branch ? b : a;
  const size_t shortcut_count = a_is_branch ? b_count : a_count;
  const Add& add = std::get<Add>(node.op);
  Block block;
  block.input = *parting;
  block.convs = a_is_branch ? a_convs : b_convs;
  block.outputs = node.type.channels();
  block.has_zero_pad = add != Add{};
  block.has_identity = shortcut_count == 0 && add == Add{};
  for (size_t i = 0; i < shortcut_count; i++)
    block.has_pooled_shortcut |= std::holds_alternative<AveragePool>(graph[shortcut_chain[i]].op);
  if (shortcut.size() > 1) return std::nullopt;
  return block;
}

bool has_kernels(const Block& block, const std::vector<int>& kernels) {
  return std::equal(block.convs.begin(), block.convs.end(), kernels.begin(), kernels.end(),
                    [](const Conv& conv, int kernel) { return conv.kernel == kernel; });
}

bool is_depthwise(const Conv& conv) {
  return conv.groups > 1 && conv.groups == conv.channels;
}

struct Net {
  std::vector<Block> blocks;
  bool is_bottleneck = false;
  size_t stem_convs = 0;

  template <class Holds>
  bool any(const Holds& holds) const {
    return std::any_of(blocks.begin(), blocks.end(), holds);
  }
};

std::optional<Net> net_of(const Graph& graph) {
  Net net;
  for (const Node& node : graph.nodes) {
    if (!std::holds_alternative<Add>(node.op) || !node.type.is_image()) continue;
    const std::optional<Block> block = block_of(graph, node);
    if (!block) return std::nullopt;
    net.blocks.push_back(*block);
  }
  if (net.blocks.empty()) return std::nullopt;
  net.is_bottleneck = has_kernels(net.blocks[0], {1, 3, 1});
  const std::vector<int> kernels = net.is_bottleneck ? std::vector{1, 3, 1} : std::vector{3, 3};
  if (net.any([&](const Block& block) { return !has_kernels(block, kernels); })) return std::nullopt;
  // MobileNet's blocks have these kernels too; ResNeXt's groups are several channels wide.
  if (net.any([](const Block& block) { return std::any_of(block.convs.begin(), block.convs.end(), is_depthwise); }))
    return std::nullopt;
  // The stem: back to the input, through a max pool.
  Value value = net.blocks[0].input;
  for (;; value = graph[value].inputs[0]) {
    const std::vector<Value> chain = chain_from(graph, value);
    net.stem_convs += convs_of(graph, chain, chain.size()).size();
    value = chain.back();
    if (!std::holds_alternative<MaxPool>(graph[value].op)) break;
  }
  if (net.stem_convs == 0 || !std::holds_alternative<Input>(graph[value].op)) return std::nullopt;
  return net;
}

std::vector<int> stages_of(const Net& net) {
  std::vector<int> stages;
  const Block* last = nullptr;
  for (const Block& block : net.blocks) {
    if (!last || block.outputs != last->outputs || block.stride() != 1) stages.push_back(0);
    stages.back()++;
    last = &block;
  }
  return stages;
}

// What sets it apart from He et al.'s: grouped or wide blocks, where it strides, what its shortcuts are.
std::string variant(const Graph& graph, const Net& net, size_t depth) {
  const Block& first = net.blocks[0];
  const bool is_pre =
      net.any([&](const Block& b) { return b.has_identity && std::holds_alternative<Add>(graph[b.input].op); });
  const bool is_d = net.stem_convs == 3 && net.any([](const Block& b) { return b.has_pooled_shortcut; });
  std::string name = fmt::format("ResNet-{}{}", depth, is_d ? "-D" : "");
  if (net.is_bottleneck) {
    const int base = first.outputs / 4, width = first.convs[1].channels, groups = first.convs[1].groups;
    if (groups > 1) name = fmt::format("ResNeXt-{} {}x{}d", depth, groups, width / groups);
    if (groups == 1 && base > 0 && width > base && width % base == 0)
      name = fmt::format("Wide ResNet-{}-{}", depth, width / base);
    const bool on_1x1 = net.any([](const Block& b) { return b.convs[0].stride > 1; });
    const bool on_3x3 = net.any([](const Block& b) { return b.convs[1].stride > 1; });
    if (!is_pre && !is_d && on_1x1 != on_3x3) name += on_1x1 ? " v1" : " v1.5";
  }
  return is_pre ? name + " v2 (pre-activation)" : name;
}

}  // namespace

std::string recognise_resnet(const Graph& graph) {
  const std::optional<Net> net = net_of(graph);
  if (!net) return "";
  const std::vector<int> stages = stages_of(*net);
  const size_t depth = 2 + net->blocks.size() * (net->is_bottleneck ? 3 : 2);
  std::string text = fmt::format("{}: {} {} blocks", variant(graph, *net, depth), fmt::join(stages, " + "),
                                 net->is_bottleneck ? "bottleneck" : "basic");
  // Of the first stage before groups and width: 64 for ImageNet's nets, 16 for CIFAR's.
  const int channels = net->is_bottleneck ? net->blocks[0].outputs / 4 : net->blocks[0].outputs;
  const int usual = stages.size() == 4 ? 64 : 16;
  if (channels != usual) text += fmt::format(" from {} channels on (usual: {})", channels, usual);
  if (net->any([](const Block& b) { return b.has_zero_pad; })) text += ", shortcuts padded with zeros";
  return text;
}

}  // namespace resnetc
