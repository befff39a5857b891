#!/usr/bin/env python3
"""bench/options.py: what is taken when nothing is said, and that bad options end with status 2."""

import os
import sys

import bench_path
from support import check, run

import options

cores = len(os.sched_getaffinity(0))

usual = options.parse([])
check(usual.nets == list(options.NETS) and usual.batch == [1, 8] and usual.threads == sorted({1, cores}), usual)
check(usual.rounds == 3 and usual.seconds == 0.5 and usual.target == "host" and not usual.kernels, usual)
quick = options.parse(["--quick"])
check(quick.nets == list(options.QUICK_NETS) and quick.batch == [1] and quick.threads == [cores], quick)
check(quick.rounds % 2 == 1, "a median of an even number of rounds", quick)
kernels = options.parse(["--kernels", "resnet18,resnet50", "--target", "x86-64-linux-avx2-fma", "--threads", "2"])
check(kernels.kernels == ["resnet18", "resnet50"] and kernels.rounds == 5, kernels)
check(kernels.target == "x86-64-linux-avx2-fma" and kernels.threads == [2], kernels)
given = options.parse("--quick --nets a,b_2 --threads 4,2,2 --batch 16,1 --rounds 7 --seconds 0.25".split())
check(given.nets == ["a", "b_2"] and given.threads == [2, 4] and given.batch == [1, 16], given)
check(given.rounds == 7 and given.seconds == 0.25, given)

script = bench_path.root / "bench" / "options.py"
for words, said in {
    "--rounds 2": "must be odd",
    "--rounds 0": "must be odd",
    "--rounds few": "invalid odd value",
    "--seconds 0": "positive float",
    "--seconds nan": "positive float",
    "--threads 0": "positive numbers",
    "--threads 1,x": "positive numbers",
    "--batch -1": "positive numbers",
    "--nets Res-Net": "is no net's name",
    "--kernels resnet18 --svg x.svg": "--svg draws the latencies",
    "--compile-time --kernels resnet18": "not allowed with",
    "--target x86-64-linux-avx2": "--target is for --kernels",
    "--kernels resnet18 --target host-opencl": "bench/gpu/run measures nets on a GPU",
    "--kernels resnet18 --target host-cuda-cuda_capability_86": "bench/gpu/run measures nets on a GPU",
    "--unknown": "unrecognized arguments",
}.items():
    done = run(sys.executable, script, *words.split(), status=2)
    check(said in done.stderr and not done.stdout, f"{words}:", done.stderr)
print("options: right")
