// Predicts times: a strategy's own estimate of cycles, corrected by what was measured. The logarithm of the ratio of
// time to estimate is taken as a sum of one term each for the whole machine, the key, the strategy and every parameter
// value, fitted by ridge regression, so that what one key taught helps to order the candidates of the next.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "schedules/strategy.h"

namespace resnetc {

class CostModel {
 public:
  // cycles: the strategy's estimate; any unit, the same for all.
  void add(const std::string& key, const Choice& choice, double cycles, double milliseconds);
  // Milliseconds; without any measurement, the estimate itself.
  double predict(const std::string& key, const Choice& choice, double cycles);

 private:
  struct Sample {
    std::vector<int> terms;  // into values_
    double log_ratio;
  };
  std::map<std::string, int> index_;
  std::vector<double> values_;
  std::vector<Sample> samples_;
  double offset_ = 0;
  bool fitted_ = true;

  std::vector<std::string> names(const std::string& key, const Choice& choice) const;
  void fit();
};

}  // namespace resnetc
