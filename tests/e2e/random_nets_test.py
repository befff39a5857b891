#!/usr/bin/env python3
"""Random small nets as graph files, compiled and run: exactly what the reference evaluator says of integers, and with
Winograd within its bound. Every other net has channels for all strategies; on the CPU each must have been chosen.

    random_nets_test.py RANDOM_MODEL FIRST_SEED COUNT [TARGET]
"""

import json
import pathlib
import sys

import numpy as np
from support import check, compile_model, logits, relative_difference, run, skip, temporary_folder

BATCH = 3


def compare(net, folder, seed, target, on_device):
    """Compiles the net three times and compares its answers; the names of the strategies that were chosen."""
    x = np.fromfile(folder / "input.f32", "<f4").reshape(net["input"])
    wanted = np.fromfile(folder / "output.f32", "<f4").reshape(net["output"])
    model = folder / f"{net['name']}.json"
    chosen = set()
    # The other caps in turn.
    for winograd, bound in (("off", 0), ("f5", 1e-4), (("f2", 1e-5), ("f4", 1e-4), ("f6", 5e-4))[seed % 3]):
        out = folder / winograd
        compile_model(model, model.with_suffix(".safetensors"), out, "--winograd", winograd, "--emit", "exe",
                      "--target", target, "--threads", 2)
        if on_device and run(out / net["name"], "--list-devices", status=None).returncode != 0:
            skip("there is no device; scripts/setup --tests brings PoCL")
        # All threads on the same images, and each on one of its own with one left over.
        for threads in ([],) if on_device else (["--threads", 3], ["--threads", 2]):
            got = logits(out / net["name"], x, "--batch", 2, *threads)
            # -0 equals 0; a net whose values are all 0 has no relative difference.
            same = got.shape == wanted.shape and (got == wanted).all()
            check(same or relative_difference(got, wanted) <= bound, f"seed {seed}, winograd {winograd}, {threads}")
        kernels = json.loads((out / "report.json").read_text())["kernels"]
        chosen |= {kernel["strategy"].split()[0] for kernel in kernels}
    return chosen


def main():
    tool, first, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    target = sys.argv[4] if len(sys.argv) > 4 else "host"
    on_device = target != "host"
    nodes, chosen, strategies = 0, set(), set()
    for seed in range(first, first + count):
        wide = seed % 2 == 0
        print(f"seed {seed}{' wide' if wide else ''}", flush=True)
        with temporary_folder() as folder:
            net = json.loads(run(tool, seed, BATCH, folder, *(["wide"] if wide else [])).stdout)
            strategies |= set(net["strategies"])
            nodes += len(json.loads((folder / f"{net['name']}.json").read_text())["graph"])
            # What is chosen for SSE4.1 does not depend on the machine.
            narrow_vectors = wide and not on_device
            chosen |= compare(net, folder, seed, "x86-64-linux-sse41" if narrow_vectors else target, on_device)
    check(nodes >= 10 * count, f"only {nodes} nodes in {count} nets")
    if " avx512f " not in pathlib.Path("/proc/cpuinfo").read_text():
        strategies.discard("conv2d_interleaved")  # for vectors of 16 lanes
    check(on_device or chosen >= strategies, f"never chosen: {sorted(strategies - chosen)}")
    print(f"{count} nets of {nodes} nodes; strategies: {', '.join(sorted(chosen))}")


if __name__ == "__main__":
    main()
