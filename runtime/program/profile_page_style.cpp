#include "profile_page.h"

namespace resnetc::program {

const char* const profile_page_style = R"css(:root {
  color-scheme: light dark;
  --page: #f6f6f4; --panel: #ffffff; --ink: #1b1d21; --muted: #646a73; --line: #e2e3e6; --track: #eceef0;
  --accent: #1f5fbf; --roof: #1b1d21;
  --conv3: #3b78d8; --conv1: #12a08c; --conv: #8c62d6; --grouped: #dd8a1d; --pool: #c9558f; --dense: #d2503f;
  --other: #8b929b; --on: #ffffff; --tint1: black 18%; --tint2: white 14%; --tint3: black 34%;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121417; --panel: #1a1d21; --ink: #e7e9ec; --muted: #9aa1ab; --line: #2e3238; --track: #262a30;
    --accent: #7db1ff; --roof: #d7dade;
    --conv3: #5a97f2; --conv1: #27b8a2; --conv: #a27dea; --grouped: #e79c3c; --pool: #dc75a9; --dense: #ea7163;
    --other: #838a94; --on: #0f1114; --tint1: white 17%; --tint2: black 14%; --tint3: white 34%;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 56px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 0 0 2px; }
p { margin: 0; }
.muted, .note { color: var(--muted); }
.note { font-size: 13.5px; max-width: 92ch; }
#about { margin: 4px 0 20px; font-size: 13.5px; overflow-wrap: anywhere; }
section {
  background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
  margin-top: 18px;
}

#tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px 11px; }
.tile .what { font-size: 12.5px; color: var(--muted); }
.tile .value {
  font-size: 23px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; white-space: nowrap;
}
.tile .value small { font-size: 14px; font-weight: 500; color: var(--muted); }
.tile .more { font-size: 12.5px; color: var(--muted); }

#kinds { display: flex; height: 22px; border-radius: 5px; overflow: hidden; gap: 2px; margin: 12px 0 10px; }
#kinds span { min-width: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13.5px; }
.legend b { font-weight: 600; font-variant-numeric: tabular-nums; }
.chip { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; flex: none; }

.plot { margin-top: 14px; }
svg { display: block; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
svg text { fill: var(--muted); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .roof { fill: none; stroke: var(--roof); stroke-width: 2; stroke-linejoin: round; }
svg .below { fill: var(--track); opacity: 0.55; }
svg .roof-name { fill: var(--ink); font-weight: 500; paint-order: stroke; stroke: var(--panel); stroke-width: 4px; }
svg .number { fill: var(--on); font-size: 11px; font-weight: 600; text-anchor: middle; pointer-events: none; }
svg .track { fill: var(--track); }
svg .bar, svg .block { stroke: var(--panel); }
svg .point { stroke: var(--panel); stroke-width: 1.5; fill-opacity: 0.86; }
.mark { cursor: default; }
.linked svg .mark:not(.on) { opacity: 0.2; }
tr.mark.on td, tbody tr:hover td { background: var(--track); }

#map { display: flex; }
#map .scroller { overflow-x: auto; flex: 1; min-width: 0; }
.controls { display: flex; align-items: center; gap: 10px; font-size: 13px; color: var(--muted); margin-top: 8px; }
.controls input { width: 160px; accent-color: var(--accent); }

.tabs { display: inline-flex; border: 1px solid var(--line); border-radius: 7px; overflow: hidden; margin-top: 10px; }
.tabs button {
  border: 0; background: none; color: var(--muted); font: inherit; font-size: 13.5px; padding: 4px 14px;
  cursor: pointer;
}
.tabs button[aria-pressed=true] { background: var(--track); color: var(--ink); font-weight: 600; }
.tabs button:focus-visible, th button:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.scroll { overflow: auto; max-height: max(420px, 78vh); margin-top: 10px; border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th {
  position: sticky; top: 0; background: var(--panel); z-index: 1; padding: 0; text-align: right; font-weight: 500;
  box-shadow: 0 1px var(--line);
}
th button {
  border: 0; background: none; font: inherit; color: var(--muted); padding: 8px 5px; cursor: pointer;
  white-space: nowrap; width: 100%; text-align: inherit;
}
th[aria-sort] button { color: var(--ink); font-weight: 600; }
th[aria-sort=descending] button::after { content: " \2193"; }
th[aria-sort=ascending] button::after { content: " \2191"; }
td { padding: 5px 5px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.text, th.text { text-align: left; }
td .key {
  display: block; font: 11px/1.35 ui-monospace, "SFMono-Regular", "DejaVu Sans Mono", monospace;
  color: var(--muted); overflow-wrap: anywhere;
}
td .name { display: flex; align-items: baseline; }
td .long { white-space: normal; min-width: 220px; max-width: 290px; }
td .gauge {
  display: inline-block; width: 30px; height: 6px; border-radius: 3px; background: var(--track); margin-left: 6px;
  vertical-align: 1px; overflow: hidden;
}
td .gauge i { display: block; height: 100%; border-radius: 3px; background: var(--other); }

#tip {
  position: fixed; z-index: 9; pointer-events: none; max-width: min(430px, 92vw); background: var(--panel);
  color: var(--ink);
  border: 1px solid var(--line); border-radius: 8px; box-shadow: 0 6px 24px rgb(0 0 0 / 0.22); padding: 9px 12px;
  font-size: 13px;
}
[hidden] { display: none !important; }
#tip b { display: block; overflow-wrap: anywhere; }
#tip .rows {
  display: grid; grid-template-columns: auto auto; gap: 0 14px; font-variant-numeric: tabular-nums; margin-top: 3px;
}
#tip .rows span:nth-child(odd) { color: var(--muted); }
@media (max-width: 1080px) { #tiles { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 640px) {
  main { padding: 18px 12px 40px; }
  section { padding: 14px 12px; }
  #tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  .tile { padding: 10px 12px; }
  .tile .value { font-size: 20px; }
}
@media print { section { break-inside: avoid; } .scroll { max-height: none; } }
)css";

}  // namespace resnetc::program
