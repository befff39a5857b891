// Which wins survive in whole nets: what won alone may lose among its neighbours. And which records do: those of
// another CPU may be slower here than the default choices.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/tune/key_search.h"
#include "compiler/tune/whole_net.h"

namespace resnetc {

struct NetOfKeys {
  std::string name;
  std::map<std::string, int> keys;  // of its kernels that are tuned, and how often each is called
};

struct NetVerdictActions {
  // Times a net with what stood before, with what stands now and, if there is time, with the defaults. again: it was
  // timed already. nullopt: there is no time for it, or it cannot be timed. Before, it may take over what another tuner
  // wrote of the net's keys.
  std::function<std::optional<NetComparison>(size_t net, bool again)> compare;
  // The search's win no longer counts; afterwards it has none.
  std::function<void(KeySearch&)> drop;
  // The default becomes the search's choice; in a net its call took so long.
  std::function<void(KeySearch&, double milliseconds)> take_default;
  std::function<void(const std::string&)> say;
};

// Drops the wins whose kernel is slower in a net by more than 1 % and by more than the noise, twice the standard
// error of the ratio's median over the rounds; those that seem slower within these bounds, unless another net
// decides that they are faster; and all wins of a net that is slower as a whole with those that are left, by more
// than 0.5 % and the noise. Where the default of a kernel is faster than what is left, by the same bound, it becomes
// the choice; and so do the defaults of all kernels of a net that would else be slower as a whole than with them. A
// net is timed again where one of its wins was dropped or another tuner's choice came since, and once more where it
// seems slower, if there is time; else a dropped kernel's time counts as it was before. One comparison for each net,
// of what stands in the end.
std::vector<std::optional<NetComparison>> judge_nets(const std::vector<NetOfKeys>& nets, std::vector<KeySearch>& keys,
                                                     const NetVerdictActions& actions);

}  // namespace resnetc
