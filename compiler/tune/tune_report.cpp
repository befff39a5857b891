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
.bar{display:inline-block;height:9px;background:#3b7dd8}.was{background:#c3cad3}.gain{color:#19703a}.loss{color:#b3261e}
details{border-bottom:1px solid #e3e6ea;padding:4px 0}svg text{font:11px system-ui,sans-serif;fill:#57606a}
.note{color:#57606a}
</style></head><body>
)";

struct KeyTrials {
  std::vector<const Trial*> own;                  // of strategies
  std::map<std::string, const Trial*> baselines;  // the last of each
};

KeyTrials trials_of(const TuneReport& report, const KeySearch& search) {
  KeyTrials result;
  for (const Trial& trial : report.trials) {
    const Record& r = trial.record;
    if (r.key != search.text || r.target != report.target || r.threads != report.threads || r.batch != report.batch)
      continue;
    if (is_baseline(r.choice.strategy))
      result.baselines[r.choice.strategy] = &trial;
    else
      result.own.push_back(&trial);
  }
  return result;
}

std::string of_peak(const TuneReport& report, const KeySearch& search, double milliseconds) {
  if (report.peak_gflops <= 0) return "";
  const double gflops =
      milliseconds > 0 ? static_cast<double>(flop_count(search.key)) * report.batch / milliseconds * 1e-6 : 0;
  return fmt::format("{:.0f} %", 100 * gflops / report.peak_gflops);
}

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

std::string net_section(const std::string& name, const NetComparison& net) {
  std::string text = fmt::format(
      "<h2>{}: {:.3f} ms before, {:.3f} ms after ({})</h2><p class=\"note\">Each kernel's time in one inference of the "
      "whole net: before with the default or earlier records, after with the new ones{}.</p><table><tr><th>kernel</th>"
      "<th>before</th><th>after</th><th></th><th></th></tr>",
      xml_escaped(name), net.before.milliseconds, net.after.milliseconds,
      gain(net.before.milliseconds, net.after.milliseconds),
      net.replaced > 0 ? fmt::format("; reckoned, for {} of these were dropped since", net.replaced) : "");
  std::vector<std::pair<double, std::string>> order;
  double longest = 0;
  for (const auto& [key, ms] : net.before.kernel) {
    order.emplace_back(-ms, key);
    longest = std::max(longest, ms);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [negative, key] : order) {
    const auto found = net.after.kernel.find(key);
    const double before = -negative, after = found == net.after.kernel.end() ? 0 : found->second;
    text += fmt::format(
        "<tr><td><code>{}</code></td><td>{:.3f} ms</td><td>{:.3f} ms</td><td>{}</td>"
        "<td style=\"text-align:left;width:210px\"><span class=\"bar was\" style=\"width:{:.0f}px\"></span><br>"
        "<span class=\"bar\" style=\"width:{:.0f}px\"></span></td></tr>",
        xml_escaped(key), before, after, gain(before, after), 200 * before / longest, 200 * after / longest);
  }
  return text + "</table>";
}

std::string key_table(const TuneReport& report) {
  std::string text =
      "<h2>Kernels</h2><table><tr><th>kernel</th><th>calls</th><th>tried</th><th>best</th><th>of peak</th>"
      "<th>against the default</th>";
  std::vector<const Strategy*> measured;
  for (const Strategy* baseline : baselines())
    if (std::any_of(report.keys.begin(), report.keys.end(), [&](const KeySearch& search) {
          return trials_of(report, search).baselines.contains(std::string(baseline->name));
        }))
      measured.push_back(baseline);
  for (const Strategy* baseline : measured) text += fmt::format("<th>{}</th>", baseline->name);
  text += "</tr>";
  for (const KeySearch& search : report.keys) {
    const KeyTrials trials = trials_of(report, search);
    text += fmt::format(
        "<tr><td><code>{}</code><br><code class=\"note\">{}</code></td><td>{}</td><td>{} of {}</td><td>{:.4g} ms</td>"
        "<td>{}</td><td>{}</td>",
        xml_escaped(search.text), xml_escaped(to_string(search.best)), search.calls, search.tried_count(),
        search.choices.size(), search.milliseconds, of_peak(report, search, search.milliseconds),
        gain(search.milliseconds / search.fallback_ratio, search.milliseconds));
    for (const Strategy* baseline : measured) {
      const auto found = trials.baselines.find(std::string(baseline->name));
      if (found == trials.baselines.end())
        text += "<td></td>";
      else if (found->second->record.milliseconds <= 0)
        text += fmt::format("<td title=\"{}\">failed</td>", xml_escaped(found->second->failure));
      else
        text += fmt::format("<td>{:.4g} ms<br>{:.1f} &times; ours</td>", found->second->record.milliseconds,
                            found->second->record.milliseconds / search.milliseconds);
    }
    text += "</tr>";
  }
  return text + "</table>";
}

std::string key_details(const TuneReport& report, const KeySearch& search) {
  KeyTrials trials = trials_of(report, search);
  std::string text =
      fmt::format("<details><summary><code>{}</code></summary>{}", xml_escaped(search.text), curve_svg(trials));
  std::stable_sort(trials.own.begin(), trials.own.end(), [](const Trial* a, const Trial* b) {
    const auto time = [](const Trial* t) { return t->record.milliseconds > 0 ? t->record.milliseconds : 1e300; };
    return time(a) < time(b);
  });
  text += "<table><tr><th>candidate</th><th>time</th><th>of peak</th><th>at second</th></tr>";
  for (const Trial* trial : trials.own)
    text += fmt::format("<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{:.0f}</td></tr>",
                        xml_escaped(to_string(trial->record.choice)),
                        trial->record.milliseconds > 0 ? fmt::format("{:.4g} ms", trial->record.milliseconds)
                                                       : xml_escaped(trial->failure),
                        of_peak(report, search, trial->record.milliseconds), trial->second);
  return text + "</table></details>";
}

}  // namespace

std::string tune_report_html(const TuneReport& report) {
  std::string text(head);
  std::string names;
  for (const auto& [name, net] : report.nets) names += (names.empty() ? "" : ", ") + xml_escaped(name);
  text += fmt::format("<h1>resnetc tune: {}</h1><p class=\"note\">{}, {} threads, batch {}; {}{}.</p>", names,
                      xml_escaped(report.target), report.threads, report.batch, xml_escaped(report.hardware),
                      report.peak_gflops > 0 ? fmt::format("; measured peak {:.0f} GFLOP/s", report.peak_gflops) : "");
  for (const auto& [name, net] : report.nets) text += net_section(name, net);
  text += key_table(report);
  text +=
      "<h2>What was tried</h2><p class=\"note\">Dots are candidates, the line is the best so far; times of different "
      "moments. Candidates that lost early were timed only a few times.</p>";
  for (const KeySearch& search : report.keys) text += key_details(report, search);
  return text + "</body></html>\n";
}

}  // namespace resnetc
