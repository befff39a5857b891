"""The tables that bench/run prints."""

import peers
from process import warning

MIB = 1 << 20


def engine_label(engine, versions):
    return f"{engine} {versions[engine]}" if engine in versions else engine


def short(value):
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def net_table(net, versions):
    cells, costs = net["cells"], net["costs"]
    c = net["compile"]
    lines = [f"{net['model']}: resnetc compiles it in {c['cold_s']:.1f} s, with a full cache in {c['warm_s']:.1f} s"]
    logits = ", ".join(f"{e} {max(d.values()):.1g}" for e, d in net["logits_relative_difference"].items())
    lines.append("logits against ONNX Runtime's unoptimised, each threads and batch, largest difference over largest "
                 f"|logit|: {logits}")
    heads = [f"{cell['threads']} thread{'s' * (cell['threads'] > 1)}, batch {cell['batch']}" for cell in cells]
    lines.append(f"{'median ms (to best peer)':<25}" + "".join(f"{h:>20}" for h in heads)
                 + f"{'memory MiB':>12}{'first ms':>10}{'disk MiB':>10}")
    for engine, cost in costs["engines"].items():
        row = f"{engine_label(engine, versions):<25}"
        for cell in cells:
            figures = cell["engines"][engine]
            row += f"{figures['median_ms']:>12.3f} ({figures['ratio_to_best_peer']:.2f}x)"
        row += f"{short(cost['memory_bytes'] / MIB):>12}{short(cost['first_answer_s'] * 1e3):>10}"
        row += f"{short((cost['library_bytes'] + cost['model_bytes']) / MIB):>10}"
        lines.append(row)
    for engine, why in net["left_out"].items():
        lines.append(f"{engine_label(engine, versions):<25}not measured: {why}")
    for cell in cells:
        lines.append(warning(cell["others"], f"with --threads {cell['threads']} --batch {cell['batch']}"))
    lines.append(warning(costs["others"], "while first answers were timed"))
    return "\n".join(line for line in lines if line)


def summary_table(nets):
    """One line a net: most threads, smallest batch, ours beside the best peer's figure in each column."""
    costs = nets[0]["costs"]
    lines = [f"{costs['threads']} threads, batch {costs['batch']}: resnetc, the best peer of each column, the ratio",
             f"{'':<18}{'ms':>32}{'memory MiB':>22}{'first ms':>20}{'disk MiB':>20}"]
    for net in nets:
        costs = net["costs"]
        cell = next(c for c in net["cells"] if (c["threads"], c["batch"]) == (costs["threads"], costs["batch"]))
        ms = {e: f["median_ms"] for e, f in cell["engines"].items()}
        best = cell["best_peer"]
        row = f"{net['model']:<18}{ms['resnetc']:>9.3f} {ms[best]:>8.3f} {best:>11}"[:48].ljust(44)
        row += f"{ms['resnetc'] / ms[best]:>5.2f}x"
        for key, unit, width in (("memory_bytes", 1 / MIB, 8), ("first_answer_s", 1e3, 7), (None, 1 / MIB, 7)):
            values = {e: (c[key] if key else c["library_bytes"] + c["model_bytes"]) * unit
                      for e, c in costs["engines"].items()}
            ours, theirs = values["resnetc"], min(v for e, v in values.items() if e != "resnetc")
            row += f"{short(ours):>{width}} {short(theirs):>{width - 2}} {ours / theirs:>5.2f}x"
        lines.append(row)
    return "\n".join(lines)


def settings_text(versions):
    return "\n".join(f"{engine_label(name, versions)}: {peer.settings}" for name, peer in peers.PEERS.items())


def head_line(machine, args):
    return (f"f32, medians over {args.rounds} rounds of {args.seconds:g} s, each engine alone in its own process, in "
            f"turn; {machine['cpu']}, {machine['cores']} cores")


def kernel_row(calls, row):
    """Without the key."""
    hot, cold = row["hot"], row["cold"]
    return (f"{calls}{hot['ms']:>10.4f}{hot['least_ms']:>10.4f}{hot['percent']:>6.0f}%{hot['least_percent']:>6.0f}%"
            f"{cold['ms']:>11.4f}{cold['least_ms']:>10.4f}{cold['percent']:>6.0f}%{cold['least_percent']:>6.0f}%")


def sum_lines(table):
    return [f"{name}, sum over all calls, weights {kind}: {total['ms']:.3f} ms, {total['percent']:.0f} % of the peak; "
            f"of least times {total['least_ms']:.3f} ms, {total['least_percent']:.0f} %"
            for name, sums in table["sums"].items() for kind, total in sums.items()]


def slow_lines(table):
    """How many convolutions are fast, and a line for each that is not, the slowest first."""
    slow = table["convolutions_below_90_percent"]
    lines = [f"least time, hot weights: {table['convolutions'] - len(slow)} of {table['convolutions']} convolutions "
             f"reach 90 % of the peak{'; not these, the lowest first, with cold weights behind:' if slow else ''}"]
    for key in slow:
        row = table["kernels"][key]
        lines.append(f"{row['hot']['least_percent']:>6.0f}%{row['cold']['least_percent']:>6.0f}%   {key}")
    return lines


def kernel_table(table):
    """table: of key_times.measure. Each distinct kernel once, however many of the nets call it."""
    lines = [f"{', '.join(table['models'])}: {table['threads']} threads, {table['target']}, median over "
             f"{table['rounds']} rounds",
             f"peak {table['peak_gflops']:.0f} GFLOP/s ({table['vectors']}): the best of {table['readings']} readings "
             f"spread over the run, the lowest {table['lowest_reading_gflops']:.0f}; memory "
             f"{table['memory_gbytes_per_second']:.0f} GB/s",
             "calls: of each net in turn; cold: weights thrown out of all caches before each call, however small; "
             "shares of the peak: of the median, of the least time"]
    width = max(5, 2 * len(table["models"]) + 1)
    lines.append(f"{'calls':>{width}}{'hot ms':>10}{'least':>10}{'peak':>7}{'least':>7}{'cold ms':>11}{'least':>10}"
                 f"{'peak':>7}{'least':>7}   key")
    for key, row in table["kernels"].items():
        calls = "/".join(str(row["calls"].get(name, 0)) for name in table["models"])
        star = " * " if key in table["convolutions_below_90_percent"] else "   "
        lines.append(kernel_row(f"{calls:>{width}}", row) + star + key)
    lines += [*sum_lines(table), *slow_lines(table), warning(table["others"], "meanwhile")]
    return "\n".join(line for line in lines if line)


def compile_table(rows, rounds):
    lines = [f"compile time, medians over {rounds} rounds: empty cache, then full",
             f"{'model':<20}{'layers':>8}{'kernels':>9}{'cold s':>9}{'warm s':>9}"]
    for row in rows:
        lines.append(f"{row['model']:<20}{row['layers']:>8}{row['kernels']:>9}{row['cold_s']:>9.2f}"
                     f"{row['warm_s']:>9.2f}")
    lines.append(warning(max(row["others"] for row in rows), "meanwhile"))
    return "\n".join(line for line in lines if line)
