#include "compiler/inspect/outline.h"

#include <fmt/format.h>

#include <algorithm>

namespace resnetc {
namespace {

using Words = std::vector<std::string>;

constexpr size_t longest_chain = 12;  // of nodes in a panel without branches

// "layer1.0.conv1" -> layer1, 0
Words leading_words(const std::string& name) {
  Words words;
  for (size_t start = 0, dot = 0; (dot = name.find('.', start)) != std::string::npos; start = dot + 1)
    words.push_back(name.substr(start, dot - start));
  return words;
}

size_t common_words(const Words& a, const Words& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// Items between two cuts: places where only the last value so far is still needed. More than one item: they branch.
struct Section {
  size_t first, last;
  bool branches() const { return last > first; }
};

class Outliner {
 public:
  explicit Outliner(const Graph& graph) : graph_(graph), item_of_(graph.nodes.size(), -1) {
    for (size_t v = 0; v < graph.nodes.size(); v++) {
      if (std::holds_alternative<Weight>(graph.nodes[v].op)) continue;
      item_of_[v] = static_cast<int>(items_.size());
      items_.push_back(static_cast<Value>(v));
    }
  }

  std::vector<Panel> panels() {
    std::vector<Panel> result;
    int blocks = 0;
    const auto parts = group(sections());
    for (size_t p = 0; p < parts.size(); p++) {
      Panel panel = make_panel(parts[p]);
      const bool is_block = parts[p].branches;
      blocks += is_block;
      if (!panel.prefix.empty()) {
        panel.title = panel.prefix.substr(0, panel.prefix.size() - 1);
      } else if (is_block) {
        panel.title = fmt::format("block {}", blocks);
      } else {
        panel.title = p == 0 ? "stem" : p + 1 == parts.size() ? "head" : "";
      }
      if (!result.empty() && same(result.back(), panel)) {
        result.back().repeats++;
        last_title_ = panel.title;
      } else {
        close(result);
        result.push_back(std::move(panel));
      }
    }
    close(result);
    return result;
  }

 private:
  struct Part {
    size_t first, last;
    bool branches;
  };
  enum Side { before, between, after };

  const Graph& graph_;
  std::vector<Value> items_;  // all nodes but weights
  std::vector<int> item_of_;  // its index in items_, or -1
  std::string last_title_;    // of the panels folded into the last one

  const Node& node(size_t item) const { return graph_[items_[item]]; }

  void close(std::vector<Panel>& panels) {
    if (panels.empty() || panels.back().repeats == 1) return;
    std::string& title = panels.back().title;
    if (title.empty()) return;
    // "layer1.1" and "layer1.3" -> "layer1.1 – 3"
    const size_t dot = title.rfind('.') + 1;  // 0 if there is none
    const bool differ_at_end = last_title_.size() > dot && last_title_.starts_with(title.substr(0, dot)) &&
                               last_title_.find('.', dot) == std::string::npos;
    title += " – " + last_title_.substr(dot > 0 && differ_at_end ? dot : 0);
  }

  std::vector<Section> sections() const {
    std::vector<size_t> last_reader(items_.size());
    for (size_t i = 0; i < items_.size(); i++) {
      last_reader[i] = i;
      for (Value v : node(i).inputs)
        if (const int input = item_of_[static_cast<size_t>(v)]; input >= 0) last_reader[static_cast<size_t>(input)] = i;
    }
    std::vector<Section> result;
    size_t first = 0, needed_until = 0;  // by items before this one
    for (size_t i = 0; i < items_.size(); i++) {
      if (needed_until <= i) {
        result.push_back({first, i});
        first = i + 1;
      }
      needed_until = std::max(needed_until, last_reader[i]);
    }
    if (first < items_.size()) result.push_back({first, items_.size() - 1});
    return result;
  }

  // Where an item of a chain between two branching sections belongs: by its name, or else by its shape.
  Side side(size_t item, const Section* previous, const Section* next) const {
    const Words words = leading_words(node(item).name);
    const Words left = previous ? leading_words(node(previous->last).name) : Words{};
    const Words right = next ? leading_words(node(next->first).name) : Words{};
    const size_t l = common_words(words, left), r = common_words(words, right);
    if (l != r) return l > r ? before : after;
    if (!previous || l < left.size()) return between;
    return node(item).type.dims == node(previous->last).type.dims ? before : between;
  }

  // Branching sections with what belongs to them of the chains around them; the rest of the chains.
  std::vector<Part> group(const std::vector<Section>& sections) const {
    std::vector<Part> parts;
    for (size_t s = 0; s < sections.size();) {
      size_t end = s;  // of the chain
      while (end < sections.size() && !sections[end].branches()) end++;
      const Section* previous = s > 0 ? &sections[s - 1] : nullptr;
      const Section* next = end < sections.size() ? &sections[end] : nullptr;
      while (s < end && previous && side(sections[s].first, previous, next) == before)
        parts.back().last = sections[s++].last;
      size_t rest = end;
      while (rest > s && next && side(sections[rest - 1].first, previous, next) == after) rest--;
      while (s < rest) {
        const size_t stop = std::min(rest, s + longest_chain);
        parts.push_back({sections[s].first, sections[stop - 1].last, false});
        s = stop;
      }
      if (next) parts.push_back({s < end ? sections[s].first : next->first, next->last, true});
      s = end + 1;
    }
    return parts;
  }

  Panel make_panel(const Part& part) const {
    Panel panel;
    Words prefix = leading_words(node(part.first).name);
    for (size_t i = part.first; i <= part.last; i++) {
      OutlineItem item{items_[i], {}, false};
      for (Value v : node(i).inputs) {
        const int input = item_of_[static_cast<size_t>(v)];
        if (input < 0) continue;
        const int place = input < static_cast<int>(part.first) ? panel_entry : input - static_cast<int>(part.first);
        if (std::find(item.inputs.begin(), item.inputs.end(), place) == item.inputs.end()) item.inputs.push_back(place);
      }
      item.is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), item.value) != graph_.outputs.end();
      panel.items.push_back(std::move(item));
      prefix.resize(common_words(prefix, leading_words(node(i).name)));
    }
    for (const std::string& word : prefix) panel.prefix += word + '.';
    return panel;
  }

  bool same(const Panel& a, const Panel& b) const {
    return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                      [&](const OutlineItem& x, const OutlineItem& y) { return same(x, y); });
  }

  bool same(const OutlineItem& x, const OutlineItem& y) const {
    const Node &a = graph_[x.value], &b = graph_[y.value];
    return !x.is_output && !y.is_output && x.inputs == y.inputs && a.op == b.op && a.type.dims == b.type.dims &&
           std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(),
                      [&](Value v, Value w) { return graph_[v].type.dims == graph_[w].type.dims; });
  }
};

}  // namespace

std::vector<Panel> outline(const Graph& graph) {
  return Outliner(graph).panels();
}

}  // namespace resnetc
