#!/usr/bin/env python3
"""Nets of every kind against ONNX Runtime with the same random weights.

    topologies_test.py              each kind of block, stem, shortcut and padding, at small and odd sizes
    topologies_test.py NET SIZE...  one net of models/ at these sizes, HxW

The head is replaced by one of another number of classes, whose weights are in the file as the others are; without a
head, the mean of the feature map times those weights must be the logits.
"""

import pathlib
import sys

import numpy as np
from support import check_close, compile_model, logits, models, root, run, temporary_folder
from safetensors_file import read_safetensors

reference_net = root / "tests" / "tools" / "reference_net.py"
classes = 11
kinds = {
    "resnet50_v1": "64x49",
    "resnet50d": "67x50",
    "preact_resnet18": "65x40",
    "resnetv2_50": "49x64",
    "cifar10_preact_resnet20": "32x32",
    "odd_same": None,
    "odd_pooled": None,
    "odd_zero_pad": None,
}


def head_logits(features, tensors):
    """What a head makes of N x C x H x W features, in double."""
    weight = next(t for name, t in tensors.items() if name.endswith(("fc.weight", "linear.weight")))
    bias = next(t for name, t in tensors.items() if name.endswith(("fc.bias", "linear.bias")))
    mean = features.astype(np.float64).mean(axis=(2, 3))
    return mean @ weight.reshape(weight.shape[:2]).astype(np.float64).T + bias


def compare(net, size, folder):
    """size: None for the net's own."""
    sized = ["--size", size] if size else []
    more = ["--classes", classes, "--batch", 3, "--json", *sized]
    print(run(sys.executable, reference_net, "--net", net, "--out", folder, *more).stdout, end="")
    x, wanted = np.load(folder / "input.npy"), np.load(folder / "logits.npy")
    weights = folder / f"{net}.safetensors"
    changed = ["--classes", classes, *sized, "--emit", "exe"]
    shipped = models / f"{net}.json"
    if shipped.exists():
        compile_model(shipped, weights, folder / "shipped", *changed)
        check_close(f"{net} {size}", logits(folder / "shipped" / net, x, "--batch", 2, "--threads", 2), wanted)
        compile_model(shipped, weights, folder / "body", "--no-head", *changed[2:])
    else:
        compile_model(folder / f"{net}.json", weights, folder / "own", "--emit", "exe")
        check_close(f"{net}, its own topology", logits(folder / "own" / net, x, "--batch", 2, "--threads", 2), wanted)
        compile_model(folder / f"{net}.json", weights, folder / "body", "--no-head", "--emit", "exe")
    features = logits(folder / "body" / net, x)
    check_close(f"{net}, without its head", head_logits(features, read_safetensors(weights)), wanted)


def main():
    pairs = [(sys.argv[1], size) for size in sys.argv[2:]] if len(sys.argv) > 1 else kinds.items()
    for net, size in pairs:
        with temporary_folder() as folder:
            compare(net, size, pathlib.Path(folder))


main()
