// The order in which keys and their candidates have their turn, until nothing is left to try or the time is over.
#pragma once

#include <functional>
#include <vector>

#include "compiler/tune/key_search.h"

namespace resnetc {

struct SearchActions {
  std::function<bool()> has_time;  // for one more batch
  // Measures and enters what next_batch gave.
  std::function<void(KeySearch&, const std::vector<Choice>&)> measure;
  size_t batch_size = 8;
  std::function<void()> learn = {};  // before each batch, what others have tried
};

// A key that is left for candidates judged hopeless is asked again when others have changed the model, or what won
// elsewhere. When none has anything left, the judgement becomes milder by a quarter at a time, up to four times the
// best's time. A key at which another tuner works comes after all others.
void search_keys(std::vector<KeySearch>& keys, CostModel& model, const SearchActions& actions);

}  // namespace resnetc
