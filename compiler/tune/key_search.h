// The search for one key's best choice: which candidates there are, what was tried, what to try next.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/tune/cost_model.h"
#include "compiler/tune/measure.h"
#include "schedules/record.h"

namespace resnetc {

struct KeySearch {
  KernelKey key;
  std::string text;   // of the key
  int calls = 0;      // in all nets that are tuned
  int images = 1;     // that go through it together in these nets, at most
  bool cold = false;  // timed with weights from memory: it occurs in a net whose weights outgrow the caches
  std::vector<Choice> choices;
  std::vector<double> cycles;  // the strategies' estimates
  bool elsewhere = false;      // another tuner has tried some since the last batch
  std::vector<bool> tried;
  size_t hopeless = 0;  // of the untried, how many the model had judged so when the search ended

  Choice fallback;              // what would be chosen without any record
  Choice before;                // what stood before this search: by a record that is not provisional, or the fallback
  Choice best;                  // the one to beat
  bool has_record = false;      // `best` stands in the file of records for this very target, threads and batch
  std::optional<Record> seen;   // what was in force there, when this run last read or wrote it
  std::optional<Choice> rival;  // was the best until another tuner's record came; to be measured against that
  double milliseconds = 0;      // of best, when last measured; 0: not yet
  double fallback_ratio = 1;    // time of best / time of fallback
  double before_ratio = 1;      // time of best / time of before
  bool compared = false;        // these were measured in turns with this best; else reckoned
  int not_compared = 0;         // batches with this best that were to do so; two at most
  int batches = 0;              // measured so far
  int fruitless = 0;            // of those, since the last that found a better one
  bool best_failed = false;     // once, before it was ever measured
  bool given_up = false;        // for this run: twice, and it may be the machine's fault
  std::vector<Choice> wrong;    // ran once and failed later, not by the machine's fault: never to be taken again
  bool wrote = false;           // `seen` is a line of this run's own

  size_t tried_count() const;
  bool is_wrong(const Choice& choice) const;
  // Whether a later whole net has to confirm what the file of records says.
  bool has_win() const { return has_record && best != before; }
};

// The candidates of a key, estimates included. before: what a record says, or nullopt for the default choice. best:
// what to begin with, where an earlier search left a win that no whole net has confirmed.
KeySearch start_search(const KernelKey& key, int calls, const Machine& machine, const std::optional<Choice>& before,
                       const std::optional<Choice>& best = std::nullopt);

// Every choice that becomes `before` or `best` is one of `choices`: records may name others than the candidates.
void add_choice(KeySearch& search, const Choice& choice, const Machine& machine);

// What to measure next: the best so far, its rival, the default and `before` where they were not measured with this
// best (once more where that failed for a reason that may be gone), `suggestions` that are candidates, then the untried
// ones that the model deems fastest, every fifth drawn from the rest so that the model sees what it does not expect. At
// most `count` besides the best. Once enough were tried, those are left out that the model puts `hopeless` times as far
// as the best, unless they are the first to show what a parameter's value does. No untried one: there is nothing left
// worth trying.
constexpr double first_hopeless = 1.3;
std::vector<Choice> next_batch(const KeySearch& search, CostModel& model, const std::vector<Choice>& suggestions,
                               size_t count, double hopeless = first_hopeless);

// How many are left out so.
size_t hopeless_count(const KeySearch& search, CostModel& model, double hopeless = first_hopeless);

// What won for other keys of the same kind, the nearest work first.
std::vector<Choice> winners_elsewhere(const std::vector<KeySearch>& keys, const KeySearch& search);

enum class Entered { nothing, no_better, better, wrong };

// Enters what was measured. Better: `best` was beaten by more than 1 % and by more than the noise, or it does not run
// here. Nothing: the best failed before it was ever measured; on a busy machine anything may fail once, so the batch is
// to be measured again, unless it failed twice for a reason that may be gone another time. A default that computes
// something else, or does not run for another lasting reason, is none: what is best then stands for it. Wrong: the best
// ran before, and now fails for a lasting reason. It is among the wrong ones, and `before` the best again, or the
// default, or what ran beside it.
Entered enter(KeySearch& search, CostModel& model, const std::vector<Measurement>& measured);

// `before` is the best again, with the time that it has by what was measured.
void take_back(KeySearch& search);

// The default choice is the best again, which in a net took so many milliseconds a call.
void take_default(KeySearch& search, double milliseconds_in_net);

// Another tuner has written of the same key: `best` is its choice from now on, what was best its rival, and all that
// they are compared with is measured again. before: what stands if `best` is dropped.
void take_over(KeySearch& search, const Choice& before, const Choice& best, const Machine& machine);

// How much time more work on this key may save, by what was seen: the larger, the sooner it should have its turn.
double priority(const KeySearch& search);

}  // namespace resnetc
