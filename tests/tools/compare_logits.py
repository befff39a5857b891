#!/usr/bin/env python3
"""Compares two arrays of logits, N x classes, and exits 1 beyond a bound: compare_logits.py GOT.npy WANTED.npy.

--relative bounds max |got - wanted| / max |wanted|, --absolute max |got - wanted|, --top1 asks for the same largest
class in every row. Without any of the three, --relative 1e-4 holds. Needs numpy.
"""

import argparse
import sys

import numpy as np


def compare(got, wanted):
    """The figures of two arrays of equal shape: {"absolute", "relative", "top1_differs"}; NaN where a value is NaN."""
    difference = np.abs(got.astype(np.float64) - wanted.astype(np.float64)).max()
    largest = np.abs(wanted.astype(np.float64)).max()
    differs = int((got.reshape(len(got), -1).argmax(1) != wanted.reshape(len(wanted), -1).argmax(1)).sum())
    relative = difference / largest if largest > 0 else (0.0 if difference == 0 else np.inf)
    return {"absolute": float(difference), "relative": float(relative), "top1_differs": differs}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("got")
    parser.add_argument("wanted")
    parser.add_argument("--relative", type=float)
    parser.add_argument("--absolute", type=float)
    parser.add_argument("--top1", action="store_true")
    args = parser.parse_args()
    if args.relative is None and args.absolute is None and not args.top1:
        args.relative = 1e-4

    got, wanted = np.load(args.got), np.load(args.wanted)
    if got.shape != wanted.shape or got.size == 0:
        sys.exit(f"{args.got} has shape {got.shape}, {args.wanted} {wanted.shape}: must be equal and not empty")
    if got.dtype != np.float32:
        sys.exit(f"{args.got}: must be float32, got {got.dtype}")
    figures = compare(got, wanted)
    print(f"{len(got)} rows of {got[0].size}: max |difference| {figures['absolute']:.3g}, relative to the largest "
          f"|logit| {figures['relative']:.3g}, top-1 differs in {figures['top1_differs']}")

    # Written so that a NaN fails.
    failures = []
    if args.relative is not None and not figures["relative"] <= args.relative:
        failures.append(f"relative difference beyond {args.relative:g}")
    if args.absolute is not None and not figures["absolute"] <= args.absolute:
        failures.append(f"absolute difference beyond {args.absolute:g}")
    if args.top1 and figures["top1_differs"] > 0:
        failures.append("top-1 differs")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
