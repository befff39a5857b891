#include "compiler/tune/tune_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiler/inspect/draw.h"

namespace resnetc {
namespace {

constexpr std::string_view head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>resnetc tune</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;max-width:1180px;margin:24px auto;padding:0 16px}
h1{font-size:22px}h2{font-size:17px;margin-top:32px}
table{border-collapse:collapse;width:100%}td,th{padding:4px 8px;border-bottom:1px solid #e3e6ea;text-align:right}
td{white-space:nowrap}td:first-child,th:first-child{text-align:left;white-space:normal}th{color:#57606a;font-weight:600}
code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}summary{cursor:pointer}
.bar{display:inline-block;height:9px;background:#3b7dd8}.was{background:#c3cad3}
.default{background:#e8b34b}.gain{color:#19703a}.loss{color:#b3261e}
details{border-bottom:1px solid #e3e6ea;padding:4px 0}svg text{font:11px system-ui,sans-serif;fill:#57606a}
.note{color:#57606a}
</style></head><body>
)";

struct KeyTrials {
  std::vector<const Trial*> own;                  // of candidates
  std::map<std::string, const Trial*> baselines;  // the last of each
};

// Those that can be compared with each other and with what this run has measured; of candidates that count as tried.
KeyTrials trials_of(const Tuning& t, const KeySearch& search, const std::vector<Trial>& trials) {
  KeyTrials result;
  for (const Trial& trial : trials) {
    const Choice& choice = trial.record.choice;
    if (!same_conditions(t, search, trial.record)) continue;
    if (is_baseline(choice.strategy)) {
      result.baselines[choice.strategy] = &trial;
      continue;
    }
    const auto at = std::find(search.choices.begin(), search.choices.end(), choice);
    if (at != search.choices.end() && search.tried[static_cast<size_t>(at - search.choices.begin())])
      result.own.push_back(&trial);
  }
  return result;
}

// The time of the best: by this run, else by the last of its trials; 0 if there is none.
double best_milliseconds(const KeySearch& search, const KeyTrials& trials) {
  double milliseconds = search.milliseconds;
  for (const Trial* trial : trials.own)
    if (search.milliseconds == 0 && trial->record.choice == search.best && trial->record.milliseconds > 0)
      milliseconds = trial->record.milliseconds;
  return milliseconds;
}

std::string milliseconds_text(double milliseconds) {
  return milliseconds > 0 ? fmt::format("{:.4g} ms", milliseconds) : "not measured";
}

std::string of_peak(const Tuning& t, const KeySearch& search, double milliseconds) {
  if (t.peak_gflops <= 0 || milliseconds <= 0) return "";
  const double gflops = static_cast<double>(flop_count(search.key)) * t.options.batch / milliseconds * 1e-6;
  return fmt::format("{:.0f} %", 100 * gflops / t.peak_gflops);
}

// The time before as a ratio to the time after, so that +100 % is twice as fast.
std::string gain(double before, double after) {
  if (after <= 0 || before <= 0) return "";
  const double percent = 100 * (before / after - 1);
  return fmt::format("<span class=\"{}\">{:+.1f} %</span>", percent >= 0 ? "gain" : "loss", percent);
}

// The best time so far against the seconds spent, each trial a dot.
std::string curve_svg(const KeyTrials& trials) {
  constexpr double width = 1080, height = 170, left = 60, bottom = 30, top = 10;
  double last = 1, worst = 0, best = 1e300;
  for (const Trial* trial : trials.own) {
    last = std::max(last, trial->second);
    const double ms = trial->record.milliseconds;
    if (ms > 0) worst = std::max(worst, ms), best = std::min(best, ms);
  }
  if (worst == 0) return "";
  worst = std::min(worst, 3 * best);  // slower ones stand on the upper edge
  const double low = 0.9 * best, high = worst * 1.02;
  const auto x = [&](double second) { return left + (width - left - 10) * second / last; };
  const auto y = [&](double ms) {
    return top + (height - top - bottom) * (1 - (std::min(ms, high) - low) / (high - low));
  };
  std::string dots, path;
  double so_far = 1e300;
  for (const Trial* trial : trials.own) {
    const double ms = trial->record.milliseconds;
    if (ms <= 0) continue;
    dots += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"#8fb4e3\"><title>{} {:.4g} ms</title></circle>",
        x(trial->second), y(ms), xml_escaped(to_string(trial->record.choice)), ms);
    if (ms < so_far) {
      path += path.empty() ? fmt::format("M{:.1f} {:.1f}", x(trial->second), y(ms))
                           : fmt::format("H{:.1f}V{:.1f}", x(trial->second), y(ms));
      so_far = ms;
    }
  }
  path += fmt::format("H{:.1f}", x(last));
  std::string axis;
  constexpr const char* anchors[] = {"start", "middle", "end"};
  for (int i = 0; i <= 2; i++) {
    const double ms = low + (high - low) * i / 2, second = last * i / 2;
    axis += fmt::format(
        "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g} ms</text>"
        "<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"{}\">{:.0f} s</text>",
        left - 6, y(ms) + 4, ms, x(second), height - 10, anchors[i], second);
  }
  return fmt::format(
      "<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"100%\" role=\"img\">"
      "<path d=\"M{2:.0f} {3:.0f}H{4:.0f}\" stroke=\"#d0d7de\"/>{5}{6}<path d=\"{7}\" fill=\"none\" stroke=\"#1f5fbf\" "
      "stroke-width=\"1.5\"/></svg>",
      width, height, left, height - bottom, width - 10, axis, dots, path);
}

// A net was timed on these sides: with the default choices where they are not what stood before, and with what stood
// before and after.
struct NetSide {
  const char* name;
  const char* bar;
  const NetTimes* times;
};

std::vector<NetSide> sides_of(const NetComparison& net) {
  std::vector<NetSide> sides;
  if (net.defaults && net.defaults->milliseconds != net.before.milliseconds)
    sides.push_back({"defaults", "bar default", &*net.defaults});
  sides.push_back({"before", "bar was", &net.before});
  sides.push_back({"after", "bar", &net.after});
  return sides;
}

// Of a kernel's times in a net: where its rounds are known, by the median of their ratios, and no gain within the
// noise.
std::string gain_in_net(const NetComparison& net, const std::string& key, double before, double after) {
  const Ratio r = ratio_of(net.after, net.before, key);
  if (net.after.rounds.empty() || (r.ratio == 1 && r.noise == 0)) return gain(before, after);
  if (std::abs(r.ratio - 1) > r.noise) return gain(1, r.ratio);
  return fmt::format("<span class=\"note\">{:+.1f} %, within the noise</span>", 100 * (1 / r.ratio - 1));
}

std::string net_section(const std::string& name, const NetComparison& net) {
  const std::vector<NetSide> sides = sides_of(net);
  std::string times, heads, legend, sums;
  for (const NetSide& side : sides) {
    times += fmt::format("{}{:.3f} ms {}", times.empty() ? "" : ", ", side.times->milliseconds, side.name);
    heads += fmt::format("<th>{}</th>", side.name);
    legend += fmt::format("<span class=\"{}\" style=\"width:9px\"></span> {} ", side.bar, side.name);
    double sum = 0;
    for (const auto& [key, ms] : side.times->kernel) sum += ms;
    sums += fmt::format("<td>{:.3f} ms</td>", sum);
  }
  std::string text = fmt::format(
      "<h2>{}: {} ({})</h2><p class=\"note\">Each kernel's time in one inference of the whole net, the least of all "
      "rounds: {}before with the default or earlier records, after with the new ones{}. The ratio is the median over "
      "the rounds.</p><table><tr><th>kernel</th>{}<th>time before / after - 1</th><th>{}</th></tr>",
      xml_escaped(name), times, gain(net.before.milliseconds, net.after.milliseconds),
      sides.size() > 2 ? "with the default choices, " : "", reservation(net), heads, legend);
  std::vector<std::pair<double, std::string>> order;
  double longest = 0;
  for (const auto& [key, ms] : net.before.kernel) order.emplace_back(-ms, key);
  for (const NetSide& side : sides)
    for (const auto& [key, ms] : side.times->kernel) longest = std::max(longest, ms);
  std::sort(order.begin(), order.end());
  for (const auto& [negative, key] : order) {
    std::string cells, bars;
    double after = 0;
    for (const NetSide& side : sides) {
      const auto found = side.times->kernel.find(key);
      after = found == side.times->kernel.end() ? 0 : found->second;
      cells += fmt::format("<td>{:.3f} ms</td>", after);
      bars += fmt::format("{}<span class=\"{}\" style=\"width:{:.0f}px\"></span>", bars.empty() ? "" : "<br>", side.bar,
                          200 * after / longest);
    }
    text +=
        fmt::format("<tr><td><code>{}</code></td>{}<td>{}</td><td style=\"text-align:left;width:210px\">{}</td></tr>",
                    xml_escaped(key), cells, gain_in_net(net, key, -negative, after), bars);
  }
  return text + fmt::format("<tr><td>all of them</td>{}<td></td><td></td></tr></table>", sums);
}

// The last trial's, against what is the best now: an earlier best says nothing of this one.
std::string baseline_cell(const KeySearch& search, const KeyTrials& trials, const Strategy& baseline) {
  const auto found = trials.baselines.find(std::string(baseline.name));
  if (found == trials.baselines.end()) return "<td></td>";
  const Trial& trial = *found->second;
  if (trial.record.milliseconds <= 0) return fmt::format("<td>failed: {}</td>", xml_escaped(trial.failure));
  const bool against_best = trial.ratio > 0 && trial.against == to_string(search.best);
  return fmt::format("<td>{:.4g} ms{}</td>", trial.record.milliseconds,
                     against_best ? fmt::format("<br>{:.1f} &times; ours", trial.ratio) : "");
}

using KeysOfReport = std::vector<std::pair<const KeySearch*, KeyTrials>>;

// Of one call of each kernel that was timed against the best that stands, ours and the best baseline's.
std::string totals_against_baselines(const KeysOfReport& keys) {
  double ours = 0, theirs = 0;
  int count = 0;
  for (const auto& [search, trials] : keys) {
    const double best = best_milliseconds(*search, trials);
    double least = 0;
    for (const auto& [name, trial] : trials.baselines)
      if (trial->record.milliseconds > 0 && trial->ratio > 0 && trial->against == to_string(search->best))
        least = least == 0 ? trial->ratio : std::min(least, trial->ratio);
    if (best <= 0 || least == 0) continue;
    count++;
    ours += best;
    theirs += best * least;
  }
  if (count == 0) return "";
  return fmt::format(
      "<p>One call of each of {} of {} kernels: {:.4g} ms; by the best of Halide's autoschedulers for each {:.4g} ms, "
      "{:.2f} times as long.</p>",
      count, keys.size(), ours, theirs, theirs / ours);
}

std::string key_table(const Tuning& t, const KeysOfReport& keys) {
  std::string text =
      "<h2>Kernels</h2><p class=\"note\">Against the default: its time / the best's - 1, so +50 % means that the "
      "default takes 1.5 times as long. Shares of the peak count operations as direct convolution needs them, of which "
      "Winograd's kernels save some: theirs may exceed 100 %. Hopeless are candidates that the model, fitted to what "
      "was measured, puts so far behind that they were not tried.</p><table><tr><th>kernel</th><th>calls</th>"
      "<th>tried</th><th>best</th><th>of peak</th><th>against the default</th>";
  std::vector<const Strategy*> measured;
  for (const Strategy* baseline : baselines())
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const auto& key) { return key.second.baselines.contains(std::string(baseline->name)); }))
      measured.push_back(baseline);
  for (const Strategy* baseline : measured) text += fmt::format("<th>{}</th>", baseline->name);
  text += "</tr>";
  for (const auto& [search, trials] : keys) {
    const double best = best_milliseconds(*search, trials);
    text += fmt::format(
        "<tr><td><code>{}</code><br><code class=\"note\">{}</code></td><td>{}</td><td>{} of {}{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td>",
        xml_escaped(search->text), xml_escaped(to_string(search->best)), search->calls, search->tried_count(),
        search->choices.size(), search->hopeless > 0 ? fmt::format(", {} hopeless", search->hopeless) : "",
        milliseconds_text(best), of_peak(t, *search, best),
        gain(search->milliseconds / search->fallback_ratio, search->milliseconds));
    for (const Strategy* baseline : measured) text += baseline_cell(*search, trials, *baseline);
    text += "</tr>";
  }
  return text + "</table>" + totals_against_baselines(keys);
}

// What is known of one candidate: of its trials the last.
struct CandidateRow {
  const Trial* trial;
  int times;
};

// The best first, with the time that the table of all kernels has; the others by their times.
std::string key_details(const Tuning& t, const KeySearch& search, const KeyTrials& trials) {
  std::vector<CandidateRow> rows;
  for (const Trial* trial : trials.own) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const CandidateRow& row) {
      return row.trial->record.choice == trial->record.choice;
    });
    if (found == rows.end())
      rows.push_back({trial, 1});
    else
      found->trial = trial, found->times++;
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const CandidateRow& a, const CandidateRow& b) {
    const auto place = [&](const CandidateRow& row) {
      const double ms = row.trial->record.milliseconds;
      return std::pair(row.trial->record.choice != search.best, ms > 0 ? ms : 1e300);
    };
    return place(a) < place(b);
  });
  std::string text =
      fmt::format("<details><summary><code>{}</code></summary>{}", xml_escaped(search.text), curve_svg(trials));
  text += "<table><tr><th>candidate</th><th>time</th><th>of peak</th><th>times tried</th><th>at second</th></tr>";
  for (const CandidateRow& row : rows) {
    const Record& r = row.trial->record;
    const bool best = r.choice == search.best;
    const double ms = best ? best_milliseconds(search, trials) : r.milliseconds;
    text += fmt::format("<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0f}</td></tr>",
                        xml_escaped(to_string(r.choice)), best ? " <b>best</b>" : "",
                        ms > 0 ? milliseconds_text(ms) : xml_escaped(row.trial->failure), of_peak(t, search, ms),
                        row.times, row.trial->second);
  }
  return text + "</table></details>";
}

}  // namespace

std::string tune_report_html(const Tuning& t, const std::vector<Trial>& trials,
                             const std::vector<std::pair<std::string, NetComparison>>& nets) {
  KeysOfReport keys;
  for (const KeySearch& search : t.keys) keys.emplace_back(&search, trials_of(t, search, trials));
  std::string text(head);
  std::string names;
  for (const Net& net : t.nets) names += (names.empty() ? "" : ", ") + xml_escaped(net.model.name);
  text += fmt::format("<h1>resnetc tune: {}</h1><p class=\"note\">{}, {} threads, batch {}; {}{}.</p>", names,
                      xml_escaped(t.machine.target.to_string()), t.options.threads, t.options.batch,
                      xml_escaped(t.hardware),
                      t.peak_gflops > 0 ? fmt::format("; measured peak {:.0f} GFLOP/s", t.peak_gflops) : "");
  for (const auto& [name, net] : nets) text += net_section(name, net);
  text += key_table(t, keys);
  text +=
      "<h2>What was tried</h2><p class=\"note\">Dots are candidates, the line is the least time so far. Times of "
      "different moments are not comparable to the percent: the best was chosen in turns with the others, and another "
      "may have a smaller number. Candidates that lost early were timed only a few times.</p>";
  for (const auto& [search, of] : keys) text += key_details(t, *search, of);
  return text + "</body></html>\n";
}

}  // namespace resnetc
