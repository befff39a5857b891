"""The options of bench/run. Standard library alone: bench/run checks them before its venv exists."""

import argparse
import os
import pathlib
import re

NETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2",
        "cifar10_resnet20", "cifar10_resnet56")
QUICK_NETS = ("resnet18", "resnet50", "cifar10_resnet20")

DESCRIPTION = """\
Measures compiled nets side by side with ONNX Runtime, OpenVINO, ncnn and MNN, in float32: all on the same weights, with
logits compared first, each engine alone in a process of its own, in turn, over several rounds. Prints a table; exits 1
if an engine fails or its logits differ. bench/README.md says what each column means.
"""


def names(text):
    found = text.split(",")
    for name in found:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise argparse.ArgumentTypeError(f"{name!r} is no net's name")
    return found


def counts(text):
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        found = [0]
    if found[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be positive numbers, such as 1,2")
    return found


def positive(kind):
    def parse(text):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def odd(text):
    value = int(text)
    if value < 1 or value % 2 == 0:
        raise argparse.ArgumentTypeError(f"{text}: must be odd, so that a median is the figure of one round")
    return value


def parse(words=None):
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="bench/run", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=names, help=f"of {','.join(NETS)} (default all), or cifar10_resnetD with D=6n+2")
    parser.add_argument("--threads", type=counts, help=f"default {'1,' if cores > 1 else ''}{cores}")
    parser.add_argument("--batch", type=counts, help="default 1,8")
    parser.add_argument("--rounds", type=odd, help="medians are over so many rounds, an odd number (default 3, with "
                                                   "--kernels 5)")
    parser.add_argument("--seconds", type=positive(float), help="measured time of one process (default 0.5)")
    parser.add_argument("--quick", action="store_true",
                        help=f"{','.join(QUICK_NETS)}, {cores} threads, batch 1, unless said otherwise")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="draw a chart of the latencies")
    parser.add_argument("--resnetc", type=pathlib.Path, metavar="FILE",
                        help="measure this compiler; build nothing (default: build and take build/release/resnetc)")
    parser.add_argument("--target", help="with --kernels: a Halide target that this CPU runs, such as "
                                         "x86-64-linux-avx2-fma (default host)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--kernels", type=names, metavar="NETS",
                       help="instead: the time of each kernel, weights hot and cold, against the measured peak")
    modes.add_argument("--compile-time", action="store_true",
                       help="instead: how long compiling takes, with an empty cache and a full one, and against depth")
    args = parser.parse_args(words)
    if args.svg and (args.kernels or args.compile_time):
        parser.error("--svg draws the latencies: leave out --kernels and --compile-time")
    if args.target and not args.kernels:
        parser.error("--target is for --kernels: peers choose their instructions themselves")
    if re.search("-(opencl|cuda)", args.target or ""):
        parser.error(f"--target {args.target}: kernels are measured on the CPU here; bench/gpu/run measures nets on a GPU, "
                     "`resnetc tune --report` its kernels")
    quick = args.quick
    args.nets = args.nets or list(QUICK_NETS if quick else NETS)
    args.threads = args.threads or ([cores] if quick else sorted({1, cores}))
    args.batch = args.batch or ([1] if quick else [1, 8])
    args.rounds = args.rounds or (5 if args.kernels else 3)
    args.target = args.target or "host"
    args.seconds = args.seconds or 0.5
    return args


if __name__ == "__main__":
    parse()
