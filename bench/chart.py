"""Draws the latencies as an SVG: a panel a net, a bar an engine. Grey text, no background: for light and dark pages."""

from html import escape

OURS, PEER, TEXT = "#2f81f7", "#8b949e", "#7d8590"
LABELS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "mnn": "MNN"}
COLUMNS, PANEL_WIDTH, BAR, STEP, HEAD = 3, 300, 13, 18, 30
LABEL_WIDTH, VALUE_WIDTH = 92, 62


def text(x, y, words, anchor="start", extra=""):
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{extra}>{escape(words)}</text>'


def figure(ms):
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms"


def panel(net, left, top):
    """Bars from the fastest engine to the slowest; the longest fills the panel."""
    costs = net["costs"]
    cell = next(c for c in net["cells"] if (c["threads"], c["batch"]) == (costs["threads"], costs["batch"]))
    times = sorted((f["median_ms"], engine) for engine, f in cell["engines"].items())
    longest = times[-1][0]
    room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH - 16
    parts = [text(left, top + 16, net["model"], extra=' font-weight="bold"')]
    for i, (ms, engine) in enumerate(times):
        y = top + HEAD + i * STEP
        ours = engine == "resnetc"
        weight = f' font-weight="bold" fill="{OURS}"' if ours else ""
        parts.append(text(left + LABEL_WIDTH - 6, y + BAR - 2.5, LABELS.get(engine, engine), "end", weight))
        width = max(1, room * ms / longest)
        parts.append(f'<rect x="{left + LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
                     f'fill="{OURS if ours else PEER}"/>')
        parts.append(text(left + LABEL_WIDTH + width + 5, y + BAR - 2.5, figure(ms), extra=weight))
    return "\n".join(parts)


def draw(nets, machine, versions):
    columns = min(COLUMNS, len(nets))
    rows = -(-len(nets) // columns)
    height_of_panel = HEAD + STEP * max(len(net["costs"]["engines"]) for net in nets) + 14
    costs = nets[0]["costs"]
    width, height = max(columns * PANEL_WIDTH, 620), 44 + rows * height_of_panel + 8
    title = f"Time of one inference, float32, {costs['threads']} threads, batch {costs['batch']} (shorter is better)"
    shown = ", ".join(f"{LABELS.get(name, name)} {versions[name]}" for name in versions if name != "pnnx")
    panels = [panel(net, 8 + (i % columns) * PANEL_WIDTH, 44 + (i // columns) * height_of_panel)
              for i, net in enumerate(nets)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="11.5" fill="{TEXT}">',
        f"<title>{escape(title)}</title>",
        text(8, 18, title, extra=' font-size="14" font-weight="bold"'),
        text(8, 35, f"{machine['cpu']}, {machine['cores']} cores; {shown}", extra=' font-size="11"'),
        *panels, "</svg>", ""])
