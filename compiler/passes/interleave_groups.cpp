// conv2d(conv2d(conv2d(x, p, b), q, d) groups=g, r, e)
//   -> conv2d(conv2d(conv2d(x, p', b'), q', d') groups=g interleave=16, r', e)
//
// When 16 divides g, groups have fewer channels than that (else a vector lies within a group as it is) and more than
// one, the first and the last convolution have no groups, nothing else reads what is between them or the weights, and
// the first two have no steps but ReLUs. p', b', q' and d' have the rows, r' the input channels in the order in which
// channels lie when those of 16 groups alternate. So each vector of a grouped convolution's inputs, as of its results,
// belongs to as many groups as it has lanes, and the convolution is products of vectors with vectors: nothing is
// shuffled or broadcast, however few channels a group has. Weights without values are renamed all the same.

#include <fmt/format.h>

#include <algorithm>

#include "compiler/passes.h"
#include "ir/rewrite.h"

namespace resnetc {
namespace {

bool has_only_relus(const Conv2d& conv) {
  return std::all_of(conv.epilogue.begin(), conv.epilogue.end(),
                     [](const Epilogue& step) { return std::holds_alternative<Relu>(step); });
}

// For each place of the interleaved image the channel that stood elsewhere.
std::vector<size_t> interleaved_order(const Conv2d& conv, int channels) {
  std::vector<size_t> order(static_cast<size_t>(channels));
  const int size = channels / conv.groups;
  for (int g = 0; g < conv.groups; g++)
    for (int i = 0; i < size; i++)
      order[static_cast<size_t>(channel_of_group(conv, size, g, i))] = static_cast<size_t>(g * size + i);
  return order;
}

// Gives a weight its values in the order that `from` says, for each place the index of the value that comes there.
template <class From>
void reorder(Node& node, const From& from) {
  auto& weight = std::get<Weight>(node.op);
  std::shared_ptr<std::vector<float>> values;
  if (weight.values) {
    values = std::make_shared<std::vector<float>>(weight.values->size());
    for (size_t i = 0; i < values->size(); i++) (*values)[i] = (*weight.values)[from(i)];
  }
  weight = {fmt::format("{} interleaved", weight.tensor), "", std::move(values)};
}

class Interleaver {
 public:
  explicit Interleaver(const Graph& graph) : uses_(use_counts(graph)), result_(graph) {}

  Graph run() && {
    for (const Node& node : result_.nodes) {
      const auto* last = std::get_if<Conv2d>(&node.op);
      if (last && last->groups == 1 && has_own_weights(node)) interleave_before(node);
    }
    return std::move(result_);
  }

 private:
  const std::vector<int> uses_;
  Graph result_;

  Node& node(Value value) { return result_.nodes[static_cast<size_t>(value)]; }
  bool read_once(Value value) const { return uses_[static_cast<size_t>(value)] == 1; }
  bool has_own_weights(const Node& conv) const {
    return read_once(conv.inputs[1]) && (conv.inputs.size() < 3 || read_once(conv.inputs[2]));
  }
  // Whether it is a convolution whose channels may change their order, with what reads them.
  bool is_reorderable(Value value) const {
    const Node& node = result_[value];
    const auto* conv = std::get_if<Conv2d>(&node.op);
    return conv && read_once(value) && has_own_weights(node) && has_only_relus(*conv);
  }

  void reorder_rows(const Node& conv, const std::vector<size_t>& order) {
    const auto rows = [&](Value weight) {
      const std::vector<int>& dims = node(weight).type.dims;
      size_t size = 1;
      for (size_t d = 1; d < dims.size(); d++) size *= static_cast<size_t>(dims[d]);
      reorder(node(weight), [&](size_t i) { return order[i / size] * size + i % size; });
    };
    rows(conv.inputs[1]);
    if (conv.inputs.size() > 2) rows(conv.inputs[2]);
  }

  void interleave_before(const Node& last) {
    if (!is_reorderable(last.inputs[0])) return;
    Node& middle = node(last.inputs[0]);
    auto& grouped = std::get<Conv2d>(middle.op);
    if (grouped.groups % interleaved_lanes != 0 || grouped.interleave != 1) return;
    const Node& first = node(middle.inputs[0]);
    const int group_ic = first.type.channels() / grouped.groups, group_oc = middle.type.channels() / grouped.groups;
    if (std::max(group_ic, group_oc) >= interleaved_lanes || group_ic * group_oc == 1) return;
    if (!is_reorderable(middle.inputs[0]) || std::get<Conv2d>(first.op).groups != 1) return;

    grouped.interleave = interleaved_lanes;
    reorder_rows(first, interleaved_order(grouped, first.type.channels()));
    const std::vector<size_t> order = interleaved_order(grouped, middle.type.channels());
    reorder_rows(middle, order);
    // Behind its own input channels are those of what it projects.
    Node& weight = node(last.inputs[1]);
    const auto row = static_cast<size_t>(weight.type.dims[3]);
    reorder(weight, [&](size_t i) { return i % row < order.size() ? i / row * row + order[i % row] : i; });
  }
};

}  // namespace

Graph interleave_groups(const Graph& graph) {
  return Interleaver(without_dead_nodes(graph)).run();
}

}  // namespace resnetc
