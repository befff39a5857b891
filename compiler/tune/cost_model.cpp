#include "compiler/tune/cost_model.h"

#include <fmt/format.h>

#include <cmath>

namespace resnetc {

std::vector<std::string> CostModel::names(const std::string& key, const Choice& choice) const {
  std::vector<std::string> result = {key, choice.strategy};
  for (const auto& [name, value] : choice.parameters)
    result.push_back(fmt::format("{} {}={}", choice.strategy, name, value));
  return result;
}

void CostModel::add(const std::string& key, const Choice& choice, double cycles, double milliseconds) {
  Sample sample{{}, std::log(milliseconds / cycles)};
  for (std::string& name : names(key, choice)) {
    const auto [found, is_new] = index_.try_emplace(std::move(name), static_cast<int>(values_.size()));
    if (is_new) values_.push_back(0);
    sample.terms.push_back(found->second);
  }
  samples_.push_back(std::move(sample));
  fitted_ = false;
}

// Coordinate descent: each term in turn becomes the mean of what the others leave of its samples, shrunk towards zero
// as if `ridge` more samples had none left. The sum of squares falls with each sweep.
void CostModel::fit() {
  constexpr double ridge = 1;
  constexpr int sweeps = 12;
  std::vector<std::vector<size_t>> samples_of(values_.size());
  for (size_t i = 0; i < samples_.size(); i++)
    for (int term : samples_[i].terms) samples_of[static_cast<size_t>(term)].push_back(i);
  std::vector<double> left(samples_.size());
  for (size_t i = 0; i < samples_.size(); i++) {
    left[i] = samples_[i].log_ratio - offset_;
    for (int term : samples_[i].terms) left[i] -= values_[static_cast<size_t>(term)];
  }
  for (int sweep = 0; sweep < sweeps; sweep++) {
    double mean = 0;
    for (double l : left) mean += l / static_cast<double>(left.size());
    offset_ += mean;
    for (double& l : left) l -= mean;
    for (size_t term = 0; term < values_.size(); term++) {
      double sum = 0;
      for (size_t i : samples_of[term]) sum += left[i] + values_[term];
      const double value = sum / (static_cast<double>(samples_of[term].size()) + ridge), change = value - values_[term];
      values_[term] = value;
      for (size_t i : samples_of[term]) left[i] -= change;
    }
  }
  fitted_ = true;
}

double CostModel::predict(const std::string& key, const Choice& choice, double cycles) {
  if (!fitted_) fit();
  double log_ratio = offset_;
  for (const std::string& name : names(key, choice))
    if (const auto found = index_.find(name); found != index_.end())
      log_ratio += values_[static_cast<size_t>(found->second)];
  return cycles * std::exp(log_ratio);
}

}  // namespace resnetc
