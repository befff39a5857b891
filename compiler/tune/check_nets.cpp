#include "compiler/tune/check_nets.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/message.h"
#include "compiler/process.h"
#include "compiler/toolchain.h"
#include "compiler/tune/net_verdict.h"

namespace resnetc {
namespace {

// Of one comparison, with the fewest rounds: two programs are emitted, whose kernels are in the cache if they were
// measured, and start four times. As two cores of a Granite Rapids take them.
double least_comparison_seconds(const Tuning& t, const Net& net) {
  const auto measured = static_cast<size_t>(std::count_if(t.keys.begin(), t.keys.end(), [&](const KeySearch& search) {
    return search.milliseconds > 0 && net.keys.contains(search.text);
  }));
  const double compiling =
      t.options.cache.empty() ? static_cast<double>(2 * net.kernels) : static_cast<double>(net.kernels - measured);
  return 4 + 4e-8 * static_cast<double>(net.weight_bytes) + 0.2 * compiling / std::max(t.options.jobs, 1);
}

// Of the kernels that are tuned, the search knows what stood before: another tuner may have confirmed its choice since.
Program program_before(const Tuning& t, const Net& net) {
  Program program = select_kernels(net.graph, t.machine, t.before, t.options.batch, t.hardware);
  for (Kernel& kernel : program.kernels)
    for (const KeySearch& search : t.keys)
      if (search.key == kernel.key) kernel.choice = search.before;
  return program;
}

NetComparison compare_now(const Tuning& t, const Net& net, double seconds) {
  const WholeNetOptions options{t.folder / "net", t.options.cache, t.options.target, t.options.threads,
                                t.options.batch,  t.options.jobs,  t.options.device, seconds};
  std::filesystem::create_directories(options.folder);
  const ScheduleDb now = read_all_records(t.records, shipped_records_folder());
  return compare_nets(net.model, program_before(t, net),
                      select_kernels(net.graph, t.machine, now, t.options.batch, t.hardware), t.machine, options);
}

class Comparer {
 public:
  Comparer(Tuning& t, TuneProgress& progress) : t_(t), progress_(progress) {}

  // Where the default of a kernel does not run, there is no net without the new records.
  std::optional<NetComparison> operator()(size_t i, bool again) {
    const Net& net = t_.nets[i];
    const double least = least_comparison_seconds(t_, net);
    if (t_.left() < 0.8 * least) {
      if (!again) say_no_time(net);
      return std::nullopt;
    }
    progress_.say(
        fmt::format("{}: timing the whole net{}, before against after", net.model.name, again ? " again" : ""));
    try {
      take_over_news(t_, net.keys);
      const NetComparison timed = compare_now(t_, net, std::min(t_.left(), std::max(least, share(i, again))));
      for (const KeySearch& search : t_.keys)
        if (net.keys.contains(search.text)) timed_[search.text] = search.best;
      return timed;
    } catch (const Error& e) {
      check_interrupted();
      progress_.say(fmt::format("{}: cannot be timed as a whole: {}", net.model.name, e.what()));
      return std::nullopt;
    }
  }

  // Whether what is best now was part of a net that was timed.
  bool has_timed(const KeySearch& search) const {
    const auto found = timed_.find(search.text);
    return found != timed_.end() && found->second == search.best;
  }

 private:
  Tuning& t_;
  TuneProgress& progress_;
  std::map<std::string, Choice> timed_;
  const double at_first_ = t_.left();

  // Of what is left. The first comparisons leave some for second ones.
  double share(size_t i, bool again) const {
    const double reserved = again ? 0 : 0.4 * at_first_;
    return (t_.left() - reserved) / static_cast<double>(t_.nets.size() - i);
  }

  void say_no_time(const Net& net) {
    const auto wins = std::count_if(t_.keys.begin(), t_.keys.end(), [&](const KeySearch& search) {
      return search.has_win() && net.keys.contains(search.text);
    });
    progress_.say(fmt::format("{}: no time left to time the whole net{}", net.model.name,
                              wins > 0 ? fmt::format(": {} of its records stay provisional", wins) : ""));
  }
};

void print_comparison(const Tuning& t, const std::string& name, const NetComparison& c) {
  const std::string replaced =
      c.replaced > 0 ? fmt::format("; reckoned, for {} of its choices were dropped since", c.replaced) : "";
  print_message("{}: {:.3f} ms before, {:.3f} ms after tuning ({}, batch {}{})\n", name, c.before.milliseconds,
                c.after.milliseconds, t.on_device() ? t.hardware : fmt::format("{} threads", t.options.threads),
                t.options.batch, replaced);
}

}  // namespace

double check_reserve(const Tuning& t) {
  double sum = 0, smallest = std::numeric_limits<double>::infinity();
  for (const Net& net : t.nets) {
    const double least = least_comparison_seconds(t, net);
    sum += least;
    smallest = std::min(smallest, least);
  }
  // With as much again nets are timed more often, and once more where wins are dropped.
  const double ample = std::max(sum, std::min(2 * sum, t.options.budget_s / 3));
  const double reserve = std::min(ample, t.options.budget_s / 2);
  return reserve < smallest ? 0 : reserve;
}

std::vector<std::pair<std::string, NetComparison>> check_nets(Tuning& t, TuneProgress& progress) {
  std::vector<NetOfKeys> nets;
  for (const Net& net : t.nets) nets.push_back({net.model.name, net.keys});
  Comparer compare(t, progress);
  const NetVerdictActions actions{[&](size_t net, bool again) { return compare(net, again); },
                                  [&](KeySearch& search) { drop_win(t, search); },
                                  [&](const std::string& line) { progress.say(line); }};
  const std::vector<std::optional<NetComparison>> judged = judge_nets(nets, t.keys, actions);

  std::vector<std::pair<std::string, NetComparison>> comparisons;
  for (size_t i = 0; i < nets.size(); i++)
    if (judged[i]) comparisons.emplace_back(nets[i].name, *judged[i]);
  for (KeySearch& search : t.keys)
    if (search.has_win() && compare.has_timed(search)) confirm_win(t, search);
  for (const auto& [name, comparison] : comparisons) print_comparison(t, name, comparison);
  return comparisons;
}

}  // namespace resnetc
