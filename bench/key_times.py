"""The time of each kernel of some nets, alone, weights hot and cold, against one peak. bench_kernels measures."""

import json

import nets
from process import Watch, output_of

# Of the whole run, the same for each of its tables.
RUN = ("target", "threads", "rounds", "vectors", "peak_gflops", "lowest_reading_gflops", "readings",
       "memory_gbytes_per_second")


def figures(flop, median_ms, least_ms, peak_gflops):
    gflops = flop / median_ms * 1e-6
    return {"ms": median_ms, "least_ms": least_ms, "gflops": gflops, "percent": 100 * gflops / peak_gflops,
            "least_percent": 100 * flop / least_ms * 1e-6 / peak_gflops}


def table(said, name):
    """One net's part of what bench_kernels said: figures of each kernel of it, and of all its calls together."""
    kernels, totals = {}, {"hot": [0, 0, 0], "cold": [0, 0, 0]}
    for kernel in said["kernels"]:
        calls, flop, row = kernel["calls"].get(name), kernel["flop"], kernel["choices"][0]
        if calls is None:
            continue
        kernels[kernel["key"]] = {"calls": calls, "flop": flop, "choice": row["choice"]}
        for kind, total in totals.items():
            one = (flop, row[kind]["median_ms"], row[kind]["least_ms"])
            kernels[kernel["key"]][kind] = figures(*one, said["peak_gflops"])
            totals[kind] = [sum_before + calls * value for sum_before, value in zip(total, one)]
    sums = {kind: figures(*total, said["peak_gflops"]) for kind, total in totals.items()}
    return {"model": name} | {key: said[key] for key in RUN} | {"kernels": kernels, "sum": sums}


def measure(names, bench_kernels, threads, target, rounds, cache):
    """A table for each net. All are measured in one process, a kernel that several have once, so that one peak and the
    same rounds count for all."""
    watch = Watch()
    said = json.loads(output_of([bench_kernels, *(nets.ROOT / "models" / f"{name}.json" for name in names),
                                 "--threads", threads, "--target", target, "--rounds", rounds, "--cache", cache,
                                 "--json"]))
    others = watch.others()
    return [table(said, name) | {"others": others} for name in names]
