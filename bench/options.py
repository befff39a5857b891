"""The options of bench/run. Standard library alone: bench/run checks them before its venv exists."""

import argparse
import math
import os
import pathlib
import re

import files

NETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2",
        "cifar10_resnet20", "cifar10_resnet56")
QUICK_NETS = ("resnet18", "resnet50", "cifar10_resnet20")

MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"
# tests/tools/reference_net.py, which writes a net for the peers, does not know these.
FOR_KERNELS_ALONE = ("cifar10_mlperftiny_resnet8", "cifar10_resnet20b", "digits_resnet8")

DESCRIPTION = """\
Measures compiled nets side by side with ONNX Runtime, OpenVINO, ncnn and MNN, in float32: all on the same weights, with
logits compared first, each engine alone in a process of its own, in turn, over several rounds. Prints a table; exits 1
if an engine fails or its logits differ. bench/README.md says what each column means.
"""


def known_nets(left_out=()):
    return sorted(file.stem for file in MODELS.glob("*.json") if file.stem not in left_out)


def distinct(values, text):
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"{text!r} names one of them twice")
    return values


def names(left_out=()):
    def parse(text):
        known = known_nets(left_out)
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no net {name!r}; known are {', '.join(known)}")
        return distinct(text.split(","), text)

    return parse


def counts(text):
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be positive numbers, such as 1,2")
    return sorted(distinct(found, text))


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:  # nor a NaN
        raise argparse.ArgumentTypeError(f"{text}: must be a positive number")
    return value


def odd(text):
    value = int(text)
    if value < 1 or value % 2 == 0:
        raise argparse.ArgumentTypeError(f"{text}: must be odd, so that a median is the figure of one round")
    return value


def file(text):
    """A path, from the folder that bench/run was called in."""
    return pathlib.Path(os.environ.get("BENCH_FOLDER", "."), text)


def new_file(text):
    path = file(text)
    try:
        files.check_writable(path)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem
    return path


def make_parser(cores):
    parser = argparse.ArgumentParser(prog="bench/run", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=names(FOR_KERNELS_ALONE),
                        help=f"of models/ (default {','.join(NETS)})")
    parser.add_argument("--threads", type=counts, help=f"default {'1,' if cores > 1 else ''}{cores}")
    parser.add_argument("--batch", type=counts, help="default 1,8")
    parser.add_argument("--rounds", type=odd, help="medians are over so many rounds, an odd number (default 3, with "
                                                   "--kernels 5, with --compile-time --quick 1)")
    parser.add_argument("--seconds", type=seconds, help="measured time of one process (default 0.5)")
    parser.add_argument("--quick", action="store_true",
                        help=f"{','.join(QUICK_NETS)}, {cores} threads, batch 1, unless said otherwise; with "
                             "--compile-time fewer depths")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write everything measured")
    parser.add_argument("--svg", type=new_file, metavar="FILE", help="draw a chart of the latencies")
    parser.add_argument("--resnetc", type=file, metavar="FILE",
                        help="measure this compiler; build nothing (default: build and take build/release/resnetc)")
    parser.add_argument("--target", help="with --kernels: a Halide target that this CPU runs, such as "
                                         "x86-64-linux-avx2-fma (default host)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--kernels", type=names(), metavar="NETS",
                       help="instead: the time of each kernel, weights hot and cold, against the measured peak")
    modes.add_argument("--compile-time", action="store_true",
                       help="instead: how long compiling takes, with an empty cache and a full one, and against depth")
    return parser


# What is measured otherwise there, or not at all.
NOT_WITH = {"kernels": {"nets": "it has a list of its own", "batch": "it measures one image",
                        "seconds": "it calls each kernel for 20 ms a round", "quick": "name fewer nets or --threads",
                        "svg": "the chart is of latencies"},
            "compile_time": {"nets": "its nets are fixed", "threads": "compiling takes those it needs",
                             "batch": "programs are compiled for any batch", "seconds": "it compiles once a round",
                             "svg": "the chart is of latencies"}}


def contradiction(args):
    """What is wrong with options that are right each by itself, or None."""
    for mode, reasons in NOT_WITH.items():
        for name, why in reasons.items():
            if getattr(args, mode) and getattr(args, name):
                return f"--{mode.replace('_', '-')} takes no --{name}: {why}"
    if args.target and not args.kernels:
        return "--target is for --kernels: peers choose their instructions themselves"
    if re.search("-(opencl|cuda)", args.target or ""):
        return (f"--target {args.target}: kernels are measured on the CPU here; bench/gpu/run measures nets on a GPU, "
                "`resnetc tune --report` its kernels")
    if args.json and args.svg and args.json.resolve() == args.svg.resolve():
        return f"--json and --svg name one file, {args.json}"
    if args.resnetc:
        for path in [args.resnetc] + [args.resnetc.with_name("bench_kernels")] * bool(args.kernels):
            if not path.is_file():
                return f"--resnetc: {path} is not there"
    return None


def parse(words=None):
    cores = len(os.sched_getaffinity(0))
    parser = make_parser(cores)
    args = parser.parse_args(words)
    wrong = contradiction(args)
    if wrong:
        parser.error(wrong)
    quick = args.quick
    args.nets = args.nets or list(QUICK_NETS if quick else NETS)
    args.threads = args.threads or ([cores] if quick else sorted({1, cores}))
    args.batch = args.batch or ([1] if quick else [1, 8])
    args.rounds = args.rounds or (5 if args.kernels else 1 if quick and args.compile_time else 3)
    args.target = args.target or "host"
    args.seconds = args.seconds or 0.5
    return args


def needs_peers(args):
    return not (args.kernels or args.compile_time)


if __name__ == "__main__":
    print("with peers" if needs_peers(parse()) else "without peers")
