// How far tuning is: on a terminal one line that is redrawn, elsewhere a line every ten seconds.
#pragma once

#include <string>
#include <vector>

#include "compiler/tune/key_search.h"

namespace resnetc {

class TuneProgress {
 public:
  // records: the file that better choices are written to.
  TuneProgress(double budget_s, std::string records);
  ~TuneProgress();
  TuneProgress(const TuneProgress&) = delete;
  TuneProgress& operator=(const TuneProgress&) = delete;

  void update(const std::vector<KeySearch>& keys, double spent_s);
  void update_net(const std::string& net, int round, double spent_s);  // while the whole net is timed
  void say(const std::string& line);                                   // a line that stays
  void finish(const std::vector<KeySearch>& keys, double spent_s);

 private:
  double budget_s_, last_ = 0;
  std::string records_;
  bool terminal_;

  bool is_due(double spent_s) const;  // a line elsewhere than on a terminal
  // What is under way, after the time left.
  void show(const std::string& what, double spent_s);
};

}  // namespace resnetc
