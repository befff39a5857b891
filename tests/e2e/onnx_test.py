#!/usr/bin/env python3
"""A compiled net against ONNX Runtime with the same random weights, at several batch sizes and thread counts.

    onnx_test.py NET [--size HxW] [--classes N] [--dtype f16|bf16] [--reference DIR --program FILE] [--own-topology]

Without --reference and --program both are made here. The bits must not depend on how the inputs are split.
"""

import argparse
import itertools
import pathlib
import sys

import numpy as np
from support import check_close, check_equal_bits, compile_model, logits, models, root, run, temporary_folder


def make_program(args, folder):
    """Weights, inputs and ONNX Runtime's logits into the folder, and the program compiled from them."""
    more = []
    for name in ("size", "classes"):
        if getattr(args, name):
            more += [f"--{name}", getattr(args, name)]
    reference = root / "tests" / "tools" / "reference_net.py"
    given = ["--dtype", args.dtype, "--batch", 8, *(["--json"] if args.own_topology else [])]
    print(run(sys.executable, reference, "--net", args.net, "--out", folder, *given, *more).stdout, end="")
    topology = folder / f"{args.net}.json" if args.own_topology else models / f"{args.net}.json"
    emit = ["--emit", "exe", *([] if args.own_topology else more)]
    compile_model(topology, folder / f"{args.net}.safetensors", folder / "out", *emit)
    return folder / "out" / args.net


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net")
    parser.add_argument("--size")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--own-topology", action="store_true", help="compile the topology file that the oracle wrote")
    parser.add_argument("--reference", type=pathlib.Path)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--few", action="store_true", help="three ways to split the inputs instead of nine")
    args = parser.parse_args()

    with temporary_folder() as folder:
        program = args.program or make_program(args, folder)
        reference = args.reference or folder
        x, wanted = np.load(reference / "input.npy"), np.load(reference / "logits.npy")
        splits = [(1, 2), (3, 3), (8, 1)] if args.few else list(itertools.product((1, 3, 8), (1, 2, 3)))
        results = [logits(program, x, "--batch", batch, "--threads", threads) for batch, threads in splits]
        check_close(args.net, results[0], wanted)
        for (batch, threads), result in zip(splits, results):
            check_equal_bits(f"{args.net}, --batch {batch} --threads {threads}", result, results[0])
        print(f"the same bits with each of {len(splits)} choices of --batch and --threads")


main()
