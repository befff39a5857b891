#!/usr/bin/env python3
"""Random small nets as graph files, compiled and run: exactly what the reference evaluator says of integers, and with
Winograd within its bound.

    random_nets_test.py RANDOM_MODEL FIRST_SEED COUNT [TARGET]
"""

import json
import pathlib
import sys

import numpy as np
from support import check, compile_model, logits, relative_difference, run, skip, temporary_folder

BATCH = 3


def main():
    tool, first, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    target = sys.argv[4] if len(sys.argv) > 4 else "host"
    on_device = target != "host"
    nodes = 0
    for seed in range(first, first + count):
        print(f"seed {seed}", flush=True)
        with temporary_folder() as folder:
            net = json.loads(run(tool, seed, BATCH, folder).stdout)
            x = np.fromfile(folder / "input.f32", "<f4").reshape(net["input"])
            wanted = np.fromfile(folder / "output.f32", "<f4").reshape(net["output"])
            model = folder / f"{net['name']}.json"
            nodes += len(json.loads(model.read_text())["graph"])
            for winograd, bound in (("off", 0), ("f4", 1e-4)):
                out = folder / winograd
                compile_model(model, model.with_suffix(".safetensors"), out, "--winograd", winograd, "--emit", "exe",
                              "--target", target)
                if on_device and run(out / net["name"], "--list-devices", status=None).returncode != 0:
                    skip("there is no device; scripts/setup --tests brings PoCL")
                got = logits(out / net["name"], x, "--batch", 2, *([] if on_device else ["--threads", 3]))
                # -0 equals 0; a net whose values are all 0 has no relative difference.
                same = got.shape == wanted.shape and (got == wanted).all()
                check(same or relative_difference(got, wanted) <= bound, f"seed {seed}, winograd {winograd}")
    check(nodes >= 10 * count, f"only {nodes} nodes in {count} nets")
    print(f"{count} nets of {nodes} nodes")


if __name__ == "__main__":
    main()
