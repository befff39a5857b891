#!/usr/bin/env python3
"""bench/options.py: what is taken when nothing is said, and that bad options end with status 2. bench/files.py: a file is
there whole or as it was."""

import os
import sys

import bench_path
from support import check, run, temporary_folder

import files
import options
import reference_net

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
given = options.parse("--quick --nets resnet50,cifar10_resnet20 --threads 4,2 --batch 16,1 --rounds 7 --seconds 1e-2".split())
check(given.nets == ["resnet50", "cifar10_resnet20"] and given.threads == [2, 4] and given.batch == [1, 16], given)
check(given.rounds == 7 and given.seconds == 0.01, given)
depths = options.parse(["--compile-time", "--quick"])
check(depths.rounds == 1 and options.parse(["--compile-time"]).rounds == 3, depths)
check(options.parse(["--compile-time", "--quick", "--rounds", "5"]).rounds == 5, "--rounds counts with --quick too")

for words in ([], ["--quick"], ["--nets", "resnet18"]):
    check(options.needs_peers(options.parse(words)), words)
for words in (["--kernels", "resnet18"], ["--compile-time"], ["--compile", "--quick"]):
    check(not options.needs_peers(options.parse(words)), words)
    check(run(sys.executable, bench_path.root / "bench" / "options.py", *words).stdout == "without peers\n", words)

# Weights and an ONNX file can be written of all that --nets takes.
known = options.known_nets(options.FOR_KERNELS_ALONE)
check(set(options.NETS) <= set(known) and set(options.FOR_KERNELS_ALONE) <= set(options.known_nets()), known)
for name in known:
    reference_net.find_net(name)
for name in options.FOR_KERNELS_ALONE:
    try:
        reference_net.find_net(name)
    except SystemExit:
        continue
    check(False, f"{name} could be measured side by side")

script = bench_path.root / "bench" / "options.py"


def check_refused(words, said):
    done = run(sys.executable, script, *words.split(), status=2)
    check(said in done.stderr and not done.stdout, f"{words}:", done.stderr)


for words, said in {
    "--rounds 2": "must be odd",
    "--rounds 0": "must be odd",
    "--rounds few": "invalid odd value",
    "--seconds 0": "must be a positive number",
    "--seconds -1": "must be a positive number",
    "--seconds nan": "must be a positive number",
    "--seconds inf": "must be a positive number",
    "--seconds few": "must be a positive number",
    "--threads 0": "positive numbers",
    "--threads 1,x": "positive numbers",
    "--threads 1,2,1": "names one of them twice",
    "--batch -1": "positive numbers",
    "--batch 8,8": "names one of them twice",
    "--nets resnet19": "there is no net 'resnet19'; known are cifar10_preact_resnet20, ",
    "--nets resnet18,": "there is no net ''",
    "--nets digits_resnet8": "there is no net 'digits_resnet8'",
    "--nets resnet18,resnet18": "names one of them twice",
    "--kernels resnet18,nothing": "there is no net 'nothing'; known are ",
    "--kernels resnet18,resnet18": "names one of them twice",
    "--kernels resnet18 --nets resnet50": "--kernels takes no --nets",
    "--kernels resnet18 --batch 1": "--kernels takes no --batch",
    "--kernels resnet18 --seconds 1": "--kernels takes no --seconds",
    "--kernels resnet18 --quick": "--kernels takes no --quick",
    "--compile-time --nets resnet18": "--compile-time takes no --nets",
    "--compile-time --threads 1": "--compile-time takes no --threads",
    "--compile-time --batch 1": "--compile-time takes no --batch",
    "--compile-time --seconds 1": "--compile-time takes no --seconds",
    "--compile-time --kernels resnet18": "not allowed with",
    "--target x86-64-linux-avx2": "--target is for --kernels",
    "--resnetc nowhere/resnetc": "--resnetc: nowhere/resnetc is not there",
    "--json nowhere/x.json": "there is no folder",
    "--json /dev/null": "/dev/null is no regular file",
    "--svg nowhere/x.svg": "there is no folder",
    "--kernels resnet18 --target host-opencl": "bench/gpu/run measures nets on a GPU",
    "--kernels resnet18 --target host-cuda-cuda_capability_86": "bench/gpu/run measures nets on a GPU",
    "--unknown": "unrecognized arguments",
}.items():
    check_refused(words, said)

with temporary_folder() as folder:
    file, other = folder / "x.json", folder / "y.json"
    check_refused(f"--json {folder}", "is no regular file")
    check_refused(f"--kernels resnet18 --svg {file}", "--kernels takes no --svg")
    check_refused(f"--compile-time --svg {file}", "--compile-time takes no --svg")
    check_refused(f"--json {file} --svg {folder}/../{folder.name}/x.json", "name one file")
    check_refused(f"--kernels resnet18 --resnetc {script}", "bench_kernels is not there")
    other.write_text("")
    check_refused(f"--json {other}/x.json", "there is no folder")
    check_refused(f"--json {folder}/{'x' * 300}", "cannot be written")
    options.parse(["--json", str(file), "--svg", str(other)])
    check(sorted(path.name for path in folder.iterdir()) == ["y.json"], "a check leaves a file behind")

    files.write_whole(file, "whole")
    link = folder / "link.json"
    link.symlink_to(file)
    files.write_whole(link, "again")
    check(link.is_symlink() and file.read_text() == "again", "a link was replaced")
    try:
        files.write_whole(file, "half \udcff")
    except UnicodeEncodeError:
        check(file.read_text() == "again" and len(list(folder.iterdir())) == 3, "a failure left half a file")
    else:
        check(False, "a text that cannot be written")
print("options: right")
