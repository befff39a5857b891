#!/usr/bin/env python3
"""bench/gpu/gpu_options.py: what is taken when nothing is said, and that bad options end with status 2 and one message."""

import sys

import bench_path
from support import check, models, run, temporary_folder

folder_of_bench = bench_path.root / "bench" / "gpu"
sys.path.insert(0, str(folder_of_bench))
import gpu_options

usual = gpu_options.parse(["--models", str(models)])
check(usual.nets == ["resnet18", "resnet50", "resnet152"] and usual.batches == [1, 8, 64], usual)
check((usual.device, usual.rounds, usual.budget, usual.seconds) == (0, 3, 570, 0.3), usual)
for words in ("--tune 0", "--tune 0.0"):
    check(gpu_options.parse(words.split()).tune == 0, words)
given = gpu_options.parse("--device 3 --batches 65535 2 --size 64x97 --seconds 1e-3 --target host-opencl".split())
check((given.device, given.batches, given.size, given.seconds) == (3, [65535, 2], "64x97", 0.001), given)
for target in ("host-opencl", "host-cuda", "x86-64-linux-avx2-fma-cuda-cuda_capability_86"):
    check(gpu_options.parse(["--target", target]).target == target, target)

# In a checkout bench/gpu/run, before it builds anything; in a bundle there is resnetc, which is not started.
in_bundle = (sys.executable, folder_of_bench / "measure.py", "--models", models, "--resnetc", "gone")
scripts = ((folder_of_bench / "run",), in_bundle)


def check_refused(words, *said):
    for script in scripts:
        done = run(*script, *words.split(), status=2)
        message = done.stderr.splitlines()[-1]
        check(message.startswith("bench/gpu/run: error: "), f"{words}:", done.stderr)
        check(all(part in message for part in said), f"{words}:", done.stderr)
        check(done.stderr.count(" error: ") == 1 and not done.stdout, f"{words}:", done.stderr)


for words, *said in (
    ("--rounds 0", "--rounds", "from 1 to "),
    ("--rounds 1.5", "--rounds", "whole number"),
    ("--device -1", "--device", "from 0 to 1023"),
    ("--device 1024", "--device", "from 0 to 1023"),
    ("--batches 0", "--batches", "from 1 to 65536"),
    ("--batches 1 65537", "--batches", "from 1 to 65536"),
    ("--batches 1 8 1", "--batches: 1 8 1 names one of them twice"),
    ("--size 7", "--size", "7: is not HxW"),
    ("--size 0x64", "--size", "sides of 1 to 8192"),
    ("--size 64x8193", "--size", "sides of 1 to 8192"),
    ("--tune -5", "--tune", "must be a positive number"),
    ("--tune nan", "--tune", "must be a positive number"),
    ("--budget 0", "--budget", "must be a positive number"),
    ("--budget -1", "--budget", "must be a positive number"),
    ("--seconds -0.1", "--seconds", "must be a positive number"),
    ("--seconds 1e-5", "--seconds", "a thousandth of a second"),
    ("--target host", "--target", "bench/run measures on the CPU"),
    ("--target x86-64-linux-avx2", "--target", "is not for a GPU"),
    ("--nets resnet18 resnet19", "--nets: there is no net 'resnet19'; known are cifar10_"),
    ("--nets resnet18 resnet18", "--nets: resnet18 resnet18 names one of them twice"),
    ("--db nowhere/x.jsonl", "--db", "there is no folder"),
    ("--json nowhere/x.json", "--json", "there is no folder"),
    ("--json /dev/null", "--json", "/dev/null is no regular file"),
    ("--unknown", "unrecognized arguments: --unknown"),
):
    check_refused(words, *said)

with temporary_folder() as folder:
    check_refused(f"--db {folder}", "--db", "is no regular file")
    check_refused(f"--db {folder}/x --json {folder}/../{folder.name}/x", "--db and --json name one file")
    gpu_options.parse(["--db", str(folder / "x"), "--json", str(folder / "y")])
    check(not list(folder.iterdir()), "a check leaves a file behind")
