"""The time of each kernel of a net, alone, with its weights hot in the cache and cold. bench_kernels measures."""

import re

import nets
from process import Watch, output_of

HEAD = re.compile(r"peak (\d+) GFLOP/s, weights (hot|cold)")
KEY = re.compile(r"(\S+) \((\d+) calls?\)")
TIME = re.compile(r"\s+([\d.]+) ms \(.*?\)\s+([\d.]+) GFLOP/s\s+([\d.]+) %\s+(\S.*)")
SUM = re.compile(r"sum over all calls: ([\d.]+) ms, ([\d.]+) GFLOP/s, ([\d.]+) % of peak")


def parse(text):
    """{"peak_gflops", "kernels": {key: {"calls", "ms", "gflops", "percent", "choice"}}, "sum": {the middle three}}"""
    result = {"kernels": {}}
    key = None
    for line in text.splitlines():
        if found := HEAD.search(line):
            result["peak_gflops"] = float(found[1])
        elif found := SUM.match(line):
            result["sum"] = dict(zip(("ms", "gflops", "percent"), map(float, found.groups())))
        elif found := KEY.fullmatch(line):
            key = found[1]
            result["kernels"][key] = {"calls": int(found[2])}
        elif (found := TIME.match(line)) and key and "ms" not in result["kernels"][key]:
            figures = dict(zip(("ms", "gflops", "percent"), map(float, found.groups()[:3])))
            result["kernels"][key].update(figures, choice=found[4])
    if not result["kernels"] or "sum" not in result or "peak_gflops" not in result:
        raise SystemExit(f"bench_kernels printed what bench/key_times.py does not understand:\n{text[:2000]}")
    return result


def measure(name, bench_kernels, threads):
    model = nets.ROOT / "models" / f"{name}.json"
    watch = Watch()
    hot = parse(output_of([bench_kernels, model, "--threads", threads]))
    cold = parse(output_of([bench_kernels, model, "--threads", threads, "--cold"]))
    if hot["kernels"].keys() != cold["kernels"].keys():
        raise SystemExit("bench_kernels measured other kernels with cold weights than with hot ones")
    kernels = {}
    for key, row in hot["kernels"].items():
        figures = {kind: {k: v for k, v in of["kernels"][key].items() if k != "calls"}
                   for kind, of in (("hot", hot), ("cold", cold))}
        kernels[key] = {"calls": row["calls"]} | figures
    return {"model": name, "threads": threads, "peak_gflops": max(hot["peak_gflops"], cold["peak_gflops"]),
            "kernels": kernels, "sum": {"hot": hot["sum"], "cold": cold["sum"]}, "others": watch.others()}
