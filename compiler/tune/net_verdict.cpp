#include "compiler/tune/net_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace resnetc {
namespace {

// As for candidates, where a single kernel is meant. A whole net's time is a mean over many kernels.
bool is_slower(const NetTimes& a, const NetTimes& than_b, const std::string& kernel = "") {
  const Ratio r = ratio_of(a, than_b, kernel);
  return r.ratio > 1 + std::max(kernel.empty() ? 0.005 : 0.01, r.noise);
}

class Verdict {
 public:
  Verdict(const std::vector<NetOfKeys>& nets, std::vector<KeySearch>& keys, const NetVerdictActions& actions)
      : nets_(nets), keys_(keys), actions_(actions), comparisons_(nets.size()) {}

  std::vector<std::optional<NetComparison>> all() {
    for (size_t i = 0; i < nets_.size(); i++) compare(i, false);
    drop_undecided();
    // What a comparison changes the next one judges, if there is time.
    for (int again = 0; again < 3; again++) {
      for (size_t i = 0; i < nets_.size(); i++)
        if (comparisons_[i] && !comparisons_[i]->is_of_what_stands()) compare(i, true);
      drop_undecided();
    }
    for (size_t i = 0; i < nets_.size(); i++) drop_all_if_slower(i);
    // What one net gives up another may have needed.
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = 0; i < nets_.size(); i++) changed |= take_all_defaults_if_slower(i);
    }
    // What is the default now for one net's sake may make another slower than it was.
    for (size_t i = 0; i < nets_.size(); i++)
      if (comparisons_[i] && !comparisons_[i]->is_of_what_stands()) {
        compare(i, true);
        drop_all_if_slower(i);
      }
    drop_undecided();
    return std::move(comparisons_);
  }

 private:
  const std::vector<NetOfKeys>& nets_;
  std::vector<KeySearch>& keys_;
  const NetVerdictActions& actions_;
  std::vector<std::optional<NetComparison>> comparisons_;
  std::set<std::string> had_default_;         // keys whose default was taken: once
  std::set<std::string> for_nets_sake_;       // keys whose default was taken with all others of a net
  std::set<size_t> asked_again_, all_taken_;  // nets that seemed slower than with the defaults, that were

  std::vector<KeySearch*> wins_of(size_t net) {
    std::vector<KeySearch*> wins;
    for (KeySearch& search : keys_)
      if (search.has_win() && nets_[net].keys.contains(search.text)) wins.push_back(&search);
    return wins;
  }

  void compare(size_t net, bool again) {
    std::vector<Choice> best;
    for (const KeySearch& search : keys_) best.push_back(search.best);
    std::optional<NetComparison> timed = actions_.compare(net, again);
    for (size_t k = 0; k < keys_.size(); k++)
      if (keys_[k].best != best[k]) note_news(keys_[k].text);
    if (timed) {
      comparisons_[net] = std::move(timed);
      drop_losers(net);
      take_faster_defaults(net);
    }
  }

  // Another tuner's choice came before a net was timed: the nets that were timed earlier are without it.
  void note_news(const std::string& key) {
    for (size_t i = 0; i < nets_.size(); i++)
      if (comparisons_[i] && nets_[i].keys.contains(key)) comparisons_[i]->outdated++;
  }

  void drop_losers(size_t net) {
    const NetComparison timed = *comparisons_[net];
    for (KeySearch* search : wins_of(net)) {
      if (!is_slower(timed.after, timed.before, search->text)) continue;
      actions_.say(fmt::format("{}: {} wins alone but not in {} ({:.4g} ms, {:.4g} before): dropped", search->text,
                               to_string(search->best), nets_[net].name, timed.after.kernel.at(search->text),
                               timed.before.kernel.at(search->text)));
      drop(*search);
    }
  }

  // The burden of proof is the win's.
  void drop_undecided() {
    for (size_t net = 0; net < nets_.size(); net++) {
      if (!comparisons_[net]) continue;
      for (KeySearch* search : wins_of(net)) {
        const NetComparison& timed = *comparisons_[net];
        const Ratio r = ratio_of(timed.after, timed.before, search->text);
        if (r.ratio <= 1 || for_nets_sake_.contains(search->text) || is_faster_somewhere(search->text)) continue;
        actions_.say(fmt::format("{}: {} wins alone, but in {} it takes {:.4g} x, within the noise: dropped",
                                 search->text, to_string(search->best), nets_[net].name, r.ratio));
        drop(*search);
      }
    }
  }

  bool is_faster_somewhere(const std::string& key) const {
    return std::any_of(comparisons_.begin(), comparisons_.end(), [&](const std::optional<NetComparison>& timed) {
      const Ratio r = timed ? ratio_of(timed->after, timed->before, key) : Ratio{1, 0};
      return r.ratio < 1 - r.noise;
    });
  }

  // Where `before` is the default, it is among the losers.
  void take_faster_defaults(size_t net) {
    if (!comparisons_[net]->defaults) return;
    const NetComparison timed = *comparisons_[net];
    for (KeySearch* search : off_default(net)) {
      if (!is_slower(timed.after, *timed.defaults, search->text) || !had_default_.insert(search->text).second) continue;
      actions_.say(fmt::format("{}: the default is faster than {} in {} ({:.4g} ms, {:.4g} with it): taken",
                               search->text, to_string(search->best), nets_[net].name,
                               timed.after.kernel.at(search->text), timed.defaults->kernel.at(search->text)));
      take_default(*search, net);
    }
  }

  std::vector<KeySearch*> off_default(size_t net) {
    std::vector<KeySearch*> found;
    for (KeySearch& search : keys_)
      if (search.best != search.fallback && nets_[net].keys.contains(search.text)) found.push_back(&search);
    return found;
  }

  bool is_slower_whole(size_t net) {
    return comparisons_[net] && !wins_of(net).empty() && is_slower(comparisons_[net]->after, comparisons_[net]->before);
  }

  // Two comparisons must say so if there is time for another: one is slower by the machine's neighbours alone now and
  // then, and would cost what other nets win as well.
  void drop_all_if_slower(size_t net) {
    if (is_slower_whole(net)) compare(net, true);
    if (!is_slower_whole(net)) return;
    actions_.say(fmt::format("{}: slower as a whole ({:.3f} ms, {:.3f} before): what was won for it is dropped",
                             nets_[net].name, comparisons_[net]->after.milliseconds,
                             comparisons_[net]->before.milliseconds));
    for (KeySearch* search : wins_of(net)) drop(*search);
  }

  bool is_slower_than_defaults(size_t net) {
    return comparisons_[net] && comparisons_[net]->defaults && !off_default(net).empty() &&
           is_slower(comparisons_[net]->after, *comparisons_[net]->defaults);
  }

  bool take_all_defaults_if_slower(size_t net) {
    if (is_slower_than_defaults(net) && asked_again_.insert(net).second) compare(net, true);
    if (!is_slower_than_defaults(net)) return false;
    if (!all_taken_.insert(net).second) return false;
    actions_.say(fmt::format("{}: slower as a whole ({:.3f} ms, {:.3f} with the defaults): these are taken",
                             nets_[net].name, comparisons_[net]->after.milliseconds,
                             comparisons_[net]->defaults->milliseconds));
    for (KeySearch* search : off_default(net)) {
      for_nets_sake_.insert(search->text);
      take_default(*search, net);
    }
    return true;
  }

  void drop(KeySearch& search) {
    actions_.drop(search);
    for (size_t i = 0; i < nets_.size(); i++)
      if (comparisons_[i] && nets_[i].keys.contains(search.text)) replace(i, search.text, comparisons_[i]->before);
  }

  // net: where it was timed.
  void take_default(KeySearch& search, size_t net) {
    if (search.has_win() && search.before == search.fallback) return drop(search);
    const auto found = comparisons_[net]->defaults->kernel.find(search.text);
    const int calls = nets_[net].keys.at(search.text);
    actions_.take_default(search, found == comparisons_[net]->defaults->kernel.end() ? 0 : found->second / calls);
    for (size_t i = 0; i < nets_.size(); i++)
      if (comparisons_[i] && nets_[i].keys.contains(search.text))
        replace(i, search.text, comparisons_[i]->defaults.value_or(comparisons_[i]->after));
  }

  // Without any win it is the net of before, and with all defaults that of the defaults. Of a device there are no
  // kernels' times to replace.
  void replace(size_t net, const std::string& key, const NetTimes& from) {
    NetComparison& c = *comparisons_[net];
    c.replaced++;
    if (c.defaults && off_default(net).empty()) {
      c.after = *c.defaults;
      c.replaced = 0;
    } else if (wins_of(net).empty()) {
      c.after = c.before;
      c.replaced = 0;
    } else {
      take_time(c.after, from, key);
      for (size_t i = 0; i < c.after.rounds.size(); i++) take_time(c.after.rounds[i], from.rounds[i], key);
    }
  }

  static void take_time(NetTimes& of, const NetTimes& from, const std::string& key) {
    const auto there = from.kernel.find(key);
    const auto here = of.kernel.find(key);
    if (there == from.kernel.end() || here == of.kernel.end()) return;
    of.milliseconds += there->second - here->second;
    here->second = there->second;
  }
};

}  // namespace

std::vector<std::optional<NetComparison>> judge_nets(const std::vector<NetOfKeys>& nets, std::vector<KeySearch>& keys,
                                                     const NetVerdictActions& actions) {
  return Verdict(nets, keys, actions).all();
}

}  // namespace resnetc
