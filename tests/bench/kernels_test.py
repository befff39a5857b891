#!/usr/bin/env python3
"""bench_kernels on a small net: its JSON agrees with the keys and with itself, and bad arguments end it with status 2.

    kernels_test.py BENCH_KERNELS
"""

import contextlib
import io
import json
import pathlib
import re
import sys

import bench_path
from support import check, models, run, temporary_folder

import main
import peers

bench_kernels = pathlib.Path(sys.argv[1]).resolve()
digits = models / "digits_resnet8.json"


def measure(*words, cache):
    return json.loads(run(bench_kernels, digits, "--json", "--rounds", 1, "--cache", cache, *words).stdout)


def check_figures(said):
    check(said["peak_gflops"] >= said["lowest_reading_gflops"] > 0 and said["memory_gbytes_per_second"] > 0, said)
    check(said["readings"] == said["rounds"] + 1, said)
    for kernel in said["kernels"]:
        for row in kernel["choices"]:
            for figures in (row["hot"], row["cold"]):
                check(0 < figures["least_ms"] <= figures["median_ms"] < 1000, kernel)
            # Winograd's tiles save three multiplications of four at most.
            check(kernel["flop"] / row["hot"]["least_ms"] * 1e-6 < 4.5 * said["peak_gflops"], kernel)


def check_digits(cache):
    said = measure("--threads", 1, cache=cache)
    check(said["threads"] == 1 and said["rounds"] == 1 and said["target"].startswith("x86-64-linux"), said)
    kernels = {kernel["key"]: kernel for kernel in said["kernels"]}
    # A stem, six convolutions of blocks, two of shortcuts, and a fully connected layer, all of them different.
    check(len(kernels) == len(said["kernels"]) == 10 and len([key for key in kernels if "conv2d" in key]) == 9, kernels)
    for key, kernel in kernels.items():
        check(kernel["calls"] == {"digits_resnet8": 1} and len(kernel["choices"]) == 1, kernel)
        found = re.match(r"conv2d_i\d+x\d+x(\d+)(?:b1)?_w(\d+)x(\d+)x\3x\1_.*to_i(\d+)x(\d+)x\2(?:b1)?_", key)
        check(found or key.startswith("dense"), key)
        if found:
            ic, oc, side, height, width = map(int, found.groups())
            # A residual add and ReLU are no part of a convolution's count, nor is its bias.
            check(kernel["flop"] == 2 * height * width * oc * side * side * ic, kernel)
    check_figures(said)
    # 147 KB of weights, all from memory: some microseconds on any machine, beside three of arithmetic.
    key = next(key for key in kernels if "w64x3x3x64" in key)
    figures = kernels[key]["choices"][0]
    check(figures["cold"]["least_ms"] > 1.2 * figures["hot"]["least_ms"], "cold weights are not cold", figures)


def check_choices(cache):
    said = measure("--threads", 2, "--filter", "w16x3x3x1_", "--candidates", cache=cache)
    kernel, = said["kernels"]
    names = [row["choice"] for row in kernel["choices"]]
    check(len(names) > 3 and len(set(names)) == len(names) and said["threads"] == 2, names)
    check_figures(said)
    said = measure("--filter", "w16x3x3x1_", "--choice", names[1], "--choice", names[0], cache=cache)
    check([row["choice"] for row in said["kernels"][0]["choices"]] == [names[1], names[0]], said)
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    if " avx2 " in cpu and " fma " in cpu:
        said = measure("--filter", "w16x3x3x1_", "--target", "x86-64-linux-avx2-fma", cache=cache)
        check("avx512" not in said["target"] and said["vectors"] == "AVX2 multiply-add", said)
        check_figures(said)


def check_arguments(folder):
    damaged = folder / "damaged.json"
    damaged.write_text('{"name": "damaged"}')
    for status, said, *words in ((2, "MODEL.json is required"),
                                 (2, "nowhere.json", folder / "nowhere.json"),
                                 (2, "--unknown", digits, "--unknown"),
                                 (2, "--threads", digits, "--threads", "0"),
                                 (2, "--threads", digits, "--threads", "2x"),
                                 (2, "4 is even", digits, "--rounds", 4),
                                 (2, "there is no strategy 'fast'", digits, "--choice", "fast"),
                                 (2, "'dense oc_vectors=x' is not a strategy", digits, "--choice", "dense oc_vectors=x"),
                                 (2, "excludes", digits, "--choice", "dense oc_vectors=1", "--candidates"),
                                 (2, "x86-64-linux targets", digits, "--target", "arm-64-linux"),
                                 (2, "on the CPU alone", digits, "--target", "host-opencl"),
                                 (1, "no kernel's key holds 'nothing'", digits, "--filter", "nothing"),
                                 (1, "dense does not apply to conv2d", digits, "--choice", "dense oc_vectors=1"),
                                 (1, "damaged.json", damaged)):
        done = run(bench_kernels, *words, status=status)
        check(said in done.stderr and not done.stdout, f"{words}:", done.stderr)


def check_bench(folder):
    """bench/run --kernels makes tables of it, and ends with status 1 where it fails."""
    peers.version = None  # no peer need be installed
    main.WORK = folder
    compiler = folder / "resnetc"
    compiler.touch()
    beside = folder / "bench_kernels"
    # Not a link: it finds the runtime beside its own file.
    beside.write_text(f'#!/bin/sh\nexec {bench_kernels} "$@" --filter w16x3x3x1_\n')
    beside.chmod(0o755)
    sys.argv = ["bench/run", "--kernels", "digits_resnet8", "--threads", "1", "--rounds", "1", "--resnetc",
                str(compiler), "--json", str(folder / "x.json")]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main.main()
    table, = json.loads((folder / "x.json").read_text())["kernels"]
    key, = table["kernels"]
    check(table["models"] == ["digits_resnet8"] and table["convolutions"] == 1, table)
    check(key in printed.getvalue() and "of 1 convolutions reach 90 %" in printed.getvalue(), printed.getvalue())
    figures = table["kernels"][key]["hot"]
    check(abs(figures["percent"] - 73728 / figures["ms"] * 1e-4 / table["peak_gflops"]) < 1e-9, figures)
    beside.write_text("#!/bin/sh\nexit 1\n")
    try:
        main.main()
        check(False, "bench_kernels failed, bench/run did not")
    except SystemExit as problem:
        check("exit status 1" in str(problem.code), problem.code)
    # Nor is there a traceback where resnetc cannot be built.
    (folder / "scripts").mkdir()
    (folder / "scripts" / "build").write_text("#!/bin/sh\nexit 3\n")
    (folder / "scripts" / "build").chmod(0o755)
    main.ROOT = folder
    sys.argv = ["bench/run", "--kernels", "digits_resnet8"]
    try:
        main.main()
        check(False, "the build failed, bench/run did not")
    except SystemExit as problem:
        check("could not be built: exit status 3 of" in str(problem.code), problem.code)


with temporary_folder() as scratch:
    check_arguments(scratch)
    check_digits(scratch / "cache")
    check_choices(scratch / "cache")
    check_bench(scratch)
print("bench_kernels: right")
