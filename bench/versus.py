"""All engines side by side: latency, memory, time to the first answer and size on disk of each net."""

import json
import pathlib
import shutil
import statistics

import nets
import peers
from process import Watch, output_of, say, seconds_to_output


def turn(engines, by):
    """The order turns from round to round, so that none always follows the same neighbour."""
    by %= len(engines)
    return engines[by:] + engines[:by]


def time_cells(net, engines, args):
    """Every combination of threads and batch, args.rounds times."""
    cells = [{"threads": t, "batch": b, "rounds": []} for t in args.threads for b in args.batch]
    for i in range(args.rounds):
        for cell in cells:
            measured = {}
            for engine in turn(engines, i):
                command = nets.time_command(net, engine, cell["threads"], cell["batch"], args.seconds)
                watch = Watch()
                figures = json.loads(output_of(command))
                measured[engine] = {"latency_ms": figures["latency_ms"], "runs": figures["runs"],
                                    "peak_rss_bytes": figures["peak_rss_bytes"], "others": watch.others()}
            cell["rounds"].append({engine: measured[engine] for engine in engines})
            shown = ", ".join(f"{e} {m['latency_ms']['median']:.3f}" for e, m in cell["rounds"][-1].items())
            say(f"{net.name}, {cell['threads']} threads, batch {cell['batch']}, round {i + 1} of {args.rounds}, ms: "
                f"{shown}")
    for cell in cells:
        summarise(cell, engines)
    return cells


def summarise(cell, engines):
    """Of each engine the median of the rounds' medians, how far these range, and the ratio to the best peer."""
    cell["engines"] = {}
    for engine in engines:
        figures = [r[engine] for r in cell["rounds"]]
        medians = [f["latency_ms"]["median"] for f in figures]
        median = statistics.median(medians)
        cell["engines"][engine] = {
            "median_ms": median, "lowest_median_ms": min(medians), "highest_median_ms": max(medians),
            "min_ms": min(f["latency_ms"]["min"] for f in figures),
            "images_per_second": cell["batch"] * 1e3 / median,
            "peak_rss_bytes": statistics.median(f["peak_rss_bytes"] for f in figures),
            "others": max(f["others"] for f in figures)}
    best = min((e for e in engines if e != "resnetc"), key=lambda e: cell["engines"][e]["median_ms"])
    for figures in cell["engines"].values():
        figures["ratio_to_best_peer"] = figures["median_ms"] / cell["engines"][best]["median_ms"]
    cell["best_peer"] = best
    cell["others"] = max(figures["others"] for figures in cell["engines"].values())


def first_answers(net, engines, args):
    """Seconds from the start of a process to its first logits, and bytes of libraries: most threads, smallest batch.
    "idle" is Python with numpy and no engine."""
    threads, batch = max(args.threads), min(args.batch)
    seconds, libraries = {engine: [] for engine in engines}, {}
    watch = Watch()
    for i in range(args.rounds):
        for engine in turn(engines, i):
            command = nets.answer_command(net, engine, threads, batch, net.folder / "answer.npy")
            taken, printed = seconds_to_output(command)
            seconds[engine].append(taken)
            if engine not in ("resnetc", "idle"):
                libraries[engine] = json.loads(printed.splitlines()[-1])["library_bytes"]
    return seconds, libraries, watch.others()


def costs(net, engines, cells, args):
    """Memory, time to the first answer and size on disk of each engine: most threads, smallest batch."""
    threads, batch = max(args.threads), min(args.batch)
    cell = next(c for c in cells if (c["threads"], c["batch"]) == (threads, batch))
    seconds, libraries, others = first_answers(net, engines + ["idle"], args)
    idle_command = nets.time_command(net, "idle", threads, batch, 0.01)
    idle = {"peak_rss_bytes": json.loads(output_of(idle_command))["peak_rss_bytes"],
            "first_answer_s": statistics.median(seconds["idle"])}
    result = {"threads": threads, "batch": batch, "idle_python": idle, "others": others, "engines": {}}
    for engine in engines:
        peer = peers.PEERS.get(engine)
        files = [net.program] if peer is None else peer.files(net.stem, threads, batch)
        peak, first = cell["engines"][engine]["peak_rss_bytes"], statistics.median(seconds[engine])
        # Nothing is taken off for our own program: the whole process is what it costs.
        result["engines"][engine] = {
            "peak_rss_bytes": peak, "memory_bytes": peak - (0 if peer is None else idle["peak_rss_bytes"]),
            "start_to_first_answer_s": first,
            "first_answer_s": first - (0 if peer is None else idle["first_answer_s"]), "rounds_s": seconds[engine],
            "library_bytes": libraries.get(engine, 0),
            "model_bytes": sum(pathlib.Path(file).stat().st_size for file in files)}
    return result


def measure_net(name, work, resnetc, args):
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        net, made = nets.prepare(name, folder, args.threads, args.batch, resnetc)
        engines = [e for e in ("resnetc", *peers.PEERS) if e not in made["left_out"]]
        cells = time_cells(net, engines, args)
        return {"model": name, "precision": "f32"} | made | {"cells": cells, "costs": costs(net, engines, cells, args)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # up to two gigabytes
