#include "compiler/tune/check_nets.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/files.h"
#include "compiler/message.h"
#include "compiler/process.h"
#include "compiler/toolchain.h"
#include "compiler/tune/net_verdict.h"

namespace resnetc {
namespace {

bool defaults_differ(const Tuning& t, const Net& net) {
  return std::any_of(t.keys.begin(), t.keys.end(), [&](const KeySearch& search) {
    return search.before != search.fallback && net.keys.contains(search.text);
  });
}

// Of one comparison, with the fewest rounds: programs are emitted, whose kernels are in the cache if they were
// measured, and start twice each, on a device once more for their self-test. As two cores of a Granite Rapids take
// them.
double least_comparison_seconds(const Tuning& t, const Net& net, bool with_defaults) {
  const auto measured = static_cast<size_t>(std::count_if(t.keys.begin(), t.keys.end(), [&](const KeySearch& search) {
    return search.milliseconds > 0 && net.keys.contains(search.text);
  }));
  const size_t programs = with_defaults ? 3 : 2,
               compiled = t.options.cache.empty() ? programs * net.kernels : (programs - 1) * (net.kernels - measured);
  const double starts = t.on_device() ? 1.5 : 1;
  return static_cast<double>(programs) * starts * (2 + 2e-8 * static_cast<double>(net.weight_bytes)) +
         0.2 * static_cast<double>(compiled) / std::max(t.options.jobs, 1);
}

// As before, but for the kernels of which the search says what counts now. A net with hot weights may have records of
// its own of a kernel that is tuned with cold ones.
Program program_with(const Tuning& t, const Net& net, Choice KeySearch::*choice, const Program& now) {
  Program program = select_kernels(net.graph, t.machine, t.before, t.options.batch, t.hardware, net.cold);
  for (size_t i = 0; i < program.kernels.size(); i++)
    for (const KeySearch& search : t.keys)
      if (search.key == program.kernels[i].key && now.kernels[i].choice == search.best)
        program.kernels[i].choice = search.*choice;
  return program;
}

// As `compile` will have it. A kernel without a record may borrow one that is new from a kernel like it.
Program program_now(Tuning& t, const Net& net) {
  take_over_news(t, net.keys);
  const ScheduleDb now = read_all_records(t.options.records, shipped_records_folder());
  Program program = select_kernels(net.graph, t.machine, now, t.options.batch, t.hardware, net.cold);
  for (KeySearch& search : t.keys)
    for (const Kernel& kernel : program.kernels)
      if (search.key == kernel.key && !search.has_record) {
        add_choice(search, kernel.choice, t.machine);
        search.best = kernel.choice;
      }
  return program;
}

// times: of what compare_now times.
bool wins_are_decided(const Tuning& t, const Net& net, const std::vector<NetTimes>& times) {
  return std::all_of(t.keys.begin(), t.keys.end(), [&](const KeySearch& search) {
    return !search.has_win() || !net.keys.contains(search.text) ||
           is_decided(ratio_of(times[0], times[1], search.text));
  });
}

NetComparison compare_now(Tuning& t, TuneProgress& progress, const Net& net, double seconds, bool with_defaults) {
  const WholeNetOptions options{t.folder / "net",
                                t.options.cache,
                                t.options.target,
                                t.options.threads,
                                t.options.batch,
                                t.options.jobs,
                                t.options.device,
                                seconds,
                                t.left(),
                                [&](const std::vector<NetTimes>& times) { return wins_are_decided(t, net, times); },
                                [&](int round) { progress.update_net(net.model.name, round, seconds_since(t.start)); }};
  make_folder(options.folder);
  std::vector<Program> programs = {program_now(t, net)};
  programs.push_back(program_with(t, net, &KeySearch::before, programs[0]));
  if (with_defaults) programs.push_back(program_with(t, net, &KeySearch::fallback, programs[0]));
  std::vector<NetTimes> times = compare_nets(net.model, programs, t.machine, options);
  NetComparison result{std::move(times[1]), std::move(times[0])};
  if (with_defaults) result.defaults = std::move(times[2]);
  return result;
}

class Comparer {
 public:
  Comparer(Tuning& t, TuneProgress& progress) : t_(t), progress_(progress) {}

  // Where the default of a kernel does not run, there is no net without the new records. A program that hung is given
  // a second try, if there is time.
  std::optional<NetComparison> operator()(size_t i, bool again) {
    const auto say = [&](const Error& e) {
      check_interrupted();
      progress_.say(fmt::format("{}: cannot be timed as a whole: {}", t_.nets[i].model.name, e.what()));
    };
    try {
      try {
        return compare(i, again);
      } catch (const TimedOut& e) {
        say(e);
      }
      return compare(i, true);
    } catch (const Error& e) {
      say(e);
      return std::nullopt;
    }
  }

  // Whether what is best now was part of a net that was timed.
  bool has_timed(const KeySearch& search) const {
    return std::find(timed_.begin(), timed_.end(), std::pair(search.text, search.best)) != timed_.end();
  }

 private:
  Tuning& t_;
  TuneProgress& progress_;
  std::vector<std::pair<std::string, Choice>> timed_;
  const double at_first_ = t_.left();

  // nullopt where there is no time for it.
  std::optional<NetComparison> compare(size_t i, bool again) {
    const Net& net = t_.nets[i];
    double least = least_comparison_seconds(t_, net, false);
    if (t_.left() < 0.8 * least) {
      if (!again) progress_.say(fmt::format("{}: no time left to time the whole net", net.model.name));
      return std::nullopt;
    }
    // Where they are what stood before, they cost nothing.
    const bool differ = defaults_differ(t_, net);
    const double with_defaults = least_comparison_seconds(t_, net, differ);
    const bool defaults = t_.left() >= 0.8 * with_defaults;
    if (defaults) least = with_defaults;
    progress_.say(fmt::format("{}: timing the whole net{}, before against after{}", net.model.name,
                              again ? " again" : "", defaults && differ ? " and defaults" : ""));
    NetComparison timed =
        compare_now(t_, progress_, net, std::min(t_.left(), std::max(least, share(i, again))), defaults);
    for (const KeySearch& search : t_.keys) {
      if (!net.keys.contains(search.text)) continue;
      timed_.emplace_back(search.text, search.best);
      if (defaults) timed_.emplace_back(search.text, search.fallback);
    }
    return timed;
  }

  // Of what is left. The first comparisons leave some for second ones.
  double share(size_t i, bool again) const {
    const double reserved = again ? 0 : 0.4 * at_first_;
    return (t_.left() - reserved) / static_cast<double>(t_.nets.size() - i);
  }
};

void print_comparison(const Tuning& t, const std::string& name, const NetComparison& c) {
  const std::string defaults = c.defaults && c.defaults->milliseconds != c.before.milliseconds
                                   ? fmt::format("; {:.3f} ms with the default choices", c.defaults->milliseconds)
                                   : "";
  print_message("{}: {:.3f} ms before, {:.3f} ms after tuning ({}, batch {}{}){}\n", name, c.before.milliseconds,
                c.after.milliseconds, t.on_device() ? t.hardware : fmt::format("{} threads", t.options.threads),
                t.options.batch, reservation(c), defaults);
}

}  // namespace

void put(NamedComparisons& comparisons, const std::string& net, const NetComparison& comparison) {
  const auto found =
      std::find_if(comparisons.begin(), comparisons.end(), [&](const auto& c) { return c.first == net; });
  if (found == comparisons.end())
    comparisons.emplace_back(net, comparison);
  else
    found->second = comparison;
}

double check_reserve(const Tuning& t) {
  double sum = 0, smallest = std::numeric_limits<double>::infinity();
  for (const Net& net : t.nets) {
    const double least = least_comparison_seconds(t, net, defaults_differ(t, net));
    sum += least;
    smallest = std::min(smallest, least);
  }
  // With as much again nets are timed more often, and once more where wins are dropped.
  const double ample = std::max(sum, std::min(2 * sum, t.options.budget_s / 3));
  const double reserve = std::min(ample, t.options.budget_s / 2);
  return reserve < smallest ? 0 : reserve;
}

void check_nets(Tuning& t, TuneProgress& progress, NamedComparisons& comparisons) {
  std::vector<NetOfKeys> nets;
  for (const Net& net : t.nets) nets.push_back({net.model.name, net.keys});
  Comparer compare(t, progress);
  const NetVerdictActions actions{[&](size_t net, bool again) {
                                    const std::optional<NetComparison> timed = compare(net, again);
                                    if (timed) put(comparisons, nets[net].name, *timed);
                                    return timed;
                                  },
                                  [&](KeySearch& search) { drop_win(t, search); },
                                  [&](KeySearch& search, double ms) { write_default(t, search, ms); },
                                  [&](const std::string& line) { progress.say(line); }};
  const std::vector<std::optional<NetComparison>> judged = judge_nets(nets, t.keys, actions);

  comparisons.clear();
  for (size_t i = 0; i < nets.size(); i++)
    if (judged[i]) comparisons.emplace_back(nets[i].name, *judged[i]);
  size_t provisional = 0;
  for (KeySearch& search : t.keys) {
    if (!search.has_win()) continue;
    if (compare.has_timed(search))
      confirm_win(t, search);
    else
      provisional++;
  }
  if (provisional > 0)
    progress.say(counted(provisional, "record") + " still provisional: in no whole net that was timed");
  for (const auto& [name, comparison] : comparisons) print_comparison(t, name, comparison);
}

}  // namespace resnetc
