// The tensors of a weights file under the names that a topology gives them.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "compiler/rename_rule.h"
#include "compiler/safetensors.h"

namespace resnetc {

struct NamedTensor {
  std::string name;  // renamed by every rule in turn
  const SafetensorsTensor* tensor;
};

class NamedTensors {
 public:
  // Counters of batches, which no net reads, are left out. Throws Error if two tensors get one name, or if renaming
  // takes too long. The file must outlive this.
  NamedTensors(const SafetensorsFile& file, const std::vector<RenameRule>& rules);

  const std::vector<NamedTensor>& all() const { return all_; }
  // Null if there is none of that name.
  const SafetensorsTensor* find(std::string_view name) const;

 private:
  std::vector<NamedTensor> all_;
  std::unordered_map<std::string_view, const SafetensorsTensor*> index_;  // of the names in all_
};

}  // namespace resnetc
