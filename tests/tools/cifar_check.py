#!/usr/bin/env python3
"""Runs an emitted CIFAR-10 program on the first 1,000 test images and compares with the logits of the original net.

    cifar_check.py DIR PROGRAM [--threads 2] [--batch N] [--net cifar10_resnet20]

DIR holds images/ and expected/ as its README.md says; PROGRAM was compiled from DIR/models/NET.safetensors. Two ways
in are checked: --input X.npy (logits within 5e-4, every top-1), and 20 images as PNG through --json (index, label and
probability of each class listed). Exits 1 beyond the bounds. Needs tests/requirements.txt.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from compare_logits import compare
from PIL import Image

LABELS = "airplane automobile bird cat deer dog frog horse ship truck".split()
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ABSOLUTE = 5e-4
PNG_COUNT = 20


def to_input(images, net):
    """N x H x W x 3 bytes to the N x 3 x H x W float32 that the net was trained on."""
    x = images.astype(np.float32)
    if net != "cifar10_mlperftiny_resnet8":
        x = (x / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def softmax(logits):
    e = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def run(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: exit status {done.returncode} of {' '.join(map(str, command))}")
    return done.stdout


def check_tensor(command, images, labels, expected, net, folder):
    np.save(folder / "x.npy", to_input(images, net))
    run(command + ["--input", folder / "x.npy", "--output", folder / "y.npy"])
    got = np.load(folder / "y.npy")
    if got.shape != expected.shape or got.dtype != np.float32:
        return [f"--output: float32 {expected.shape} expected, got {got.dtype} {got.shape}"]
    figures = compare(got, expected)
    print(f"--input, {len(got)} images: max |difference| {figures['absolute']:.3g}, top-1 differs in "
          f"{figures['top1_differs']}; accuracy {(got.argmax(1) == labels).mean():.1%}")
    failures = []
    if not figures["absolute"] <= ABSOLUTE:
        failures.append(f"logits differ by more than {ABSOLUTE:g}")
    if figures["top1_differs"]:
        failures.append("top-1 differs")
    return failures


def check_images(command, images, expected, folder):
    files = [folder / f"{i}.png" for i in range(PNG_COUNT)]
    for image, file in zip(images, files):
        Image.fromarray(image).save(file)
    lines = run(command + ["--json", "--top", "3"] + files).splitlines()
    if len(lines) != len(files):
        return [f"--json: {len(files)} lines expected, got {len(lines)}"]
    failures, largest = [], 0.0
    for file, line, probability in zip(files, lines, softmax(expected)):
        result = json.loads(line)
        top = result.get("top", [])
        ordered = [t["probability"] for t in top] == sorted((t["probability"] for t in top), reverse=True)
        if pathlib.Path(result["file"]).name != file.name or len(top) != 3 or not ordered:
            failures.append(f"{file.name}: got {line}")
            continue
        if top[0]["index"] != probability.argmax() or any(t["label"] != LABELS[t["index"]] for t in top):
            failures.append(f"{file.name}: expected {LABELS[probability.argmax()]}, got {line}")
        largest = max([largest] + [abs(t["probability"] - probability[t["index"]]) for t in top])
    print(f"--json, {len(files)} PNG images: probabilities differ by at most {largest:.3g}")
    # A change of d in every logit changes a probability by at most d / 2.
    if not largest <= ABSOLUTE / 2:
        failures.append("probabilities differ")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, metavar="DIR")
    parser.add_argument("program", type=pathlib.Path, metavar="PROGRAM")
    parser.add_argument("--net", default="cifar10_resnet20",
                        choices=["cifar10_resnet20", "cifar10_resnet20b", "cifar10_mlperftiny_resnet8"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()

    images = np.load(args.data / "images" / "cifar10_test1000_u8.npy")
    labels = np.load(args.data / "images" / "cifar10_test1000_labels_u8.npy")
    expected = np.load(args.data / "expected" / f"{args.net}_logits_test1000.npy")
    command = [args.program.resolve(), "--threads", args.threads, "--batch", args.batch]
    with tempfile.TemporaryDirectory() as folder:
        failures = check_tensor(command, images, labels, expected, args.net, pathlib.Path(folder))
        failures += check_images(command, images, expected, pathlib.Path(folder))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
