"""The time of each kernel of some nets, alone, weights hot and cold, against one peak. bench_kernels measures."""

import json

import nets
from process import Watch, output_of

RUN = ("target", "threads", "rounds", "vectors", "peak_gflops", "lowest_reading_gflops", "readings",
       "memory_gbytes_per_second")
KINDS = ("hot", "cold")
# Of the peak. A convolution whose least time reaches less with hot weights has something that holds it back.
ENOUGH_PERCENT = 90


def figures(flop, median_ms, least_ms, peak_gflops):
    gflops = flop / median_ms * 1e-6
    return {"ms": median_ms, "least_ms": least_ms, "gflops": gflops, "percent": 100 * gflops / peak_gflops,
            "least_percent": 100 * flop / least_ms * 1e-6 / peak_gflops}


def sum_of_calls(kernels, net, kind, peak_gflops):
    """All calls of one net together."""
    rows = [(kernel["calls"].get(net, 0), kernel) for kernel in kernels.values()]
    return figures(sum(calls * kernel["flop"] for calls, kernel in rows),
                   sum(calls * kernel[kind]["ms"] for calls, kernel in rows),
                   sum(calls * kernel[kind]["least_ms"] for calls, kernel in rows), peak_gflops)


def below_enough(kernels):
    """The keys of convolutions that miss ENOUGH_PERCENT, the lowest first. The peak is a least time too, so the least
    time is what it is compared with."""
    low = [(kernel["hot"]["least_percent"], key) for key, kernel in kernels.items()
           if key.startswith("conv2d") and kernel["hot"]["least_percent"] < ENOUGH_PERCENT]
    return [key for _, key in sorted(low)]


def table(said, names):
    """What bench_kernels said: each distinct kernel once, the nets' sums, and which convolutions are slow."""
    peak, kernels = said["peak_gflops"], {}
    for kernel in said["kernels"]:
        row = kernel["choices"][0]
        kernels[kernel["key"]] = {
            "calls": kernel["calls"], "flop": kernel["flop"], "choice": row["choice"],
            **{kind: figures(kernel["flop"], row[kind]["median_ms"], row[kind]["least_ms"], peak) for kind in KINDS}}
    return {"models": names, **{key: said[key] for key in RUN}, "kernels": kernels,
            "sums": {name: {kind: sum_of_calls(kernels, name, kind, peak) for kind in KINDS} for name in names},
            "convolutions": sum(key.startswith("conv2d") for key in kernels),
            "convolutions_below_90_percent": below_enough(kernels)}


def measure(names, bench_kernels, threads, target, rounds, cache):
    """All nets are measured in one process, a kernel that several have once, so that one peak and the same rounds count
    for all."""
    watch = Watch()
    said = json.loads(output_of([bench_kernels, *(nets.ROOT / "models" / f"{name}.json" for name in names),
                                 "--threads", threads, "--target", target, "--rounds", rounds, "--cache", cache,
                                 "--json"]))
    return table(said, names) | {"others": watch.others()}
