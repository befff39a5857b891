#!/usr/bin/env python3
"""Trains models/digits_resnet8 on the handwritten digits that come with scikit-learn, in plain numpy:

    pip install -r tests/requirements.txt && python tests/digits/train.py        # three to eight minutes

Every fifth image (360 of 1,797) is held out: training never sees it, and the number of epochs is fixed. Writes
    models/digits_resnet8.safetensors
    tests/data/digits/LABEL_INDEX.png      the held-out images, 8x8, 0..16 scaled to 0..255
    tests/data/digits/expected_logits.npy  float32 logits of the written weights on them, in the order of the file names
and prints the accuracy on the held-out images. The seed is fixed; another BLAS may round differently, and then other
weights come out. --check only compares the files written earlier with a new run of the net.
"""

import argparse
import io
import json
import pathlib
import sys

import numpy as np
from network import Store, resnet8
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from safetensors_file import read_safetensors, write_safetensors  # noqa: E402

MODEL = ROOT / "models" / "digits_resnet8.json"
WEIGHTS = MODEL.with_suffix(".safetensors")
IMAGES = ROOT / "tests" / "data" / "digits"
EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 60, 64, 0.1, 0.9, 5e-4
PREPROCESS = json.loads(MODEL.read_text())["preprocess"]


def resized(image):
    height, width = PREPROCESS["resize"]
    return image.resize((width, height), Image.Resampling.BILINEAR)


def normalised(pixels):
    """N x H x W, 0..255, to the net's input N x H x W x 1."""
    x = pixels.astype(np.float64) * PREPROCESS["scale"]
    return ((x - PREPROCESS["mean"][0]) / PREPROCESS["std"][0]).astype(np.float32)[..., None]


def distorted(image, rng):
    """The image as another hand, pen and camera might have made it: turned, shifted, scaled, paler, noisy."""
    angle, scale, shear = rng.uniform(-0.2, 0.2), rng.uniform(0.9, 1.15), rng.uniform(-0.15, 0.15)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[c, s + shear], [-s, c]])
    centre = np.array(image.size) / 2
    offset = centre - matrix @ (centre + rng.uniform(-1.5, 1.5, 2))
    a = (*matrix[0], offset[0], *matrix[1], offset[1])
    pixels = np.asarray(image.transform(image.size, Image.Transform.AFFINE, a, Image.Resampling.BILINEAR), np.float32)
    if rng.random() < 0.5:
        dark = rng.uniform(0, 60)
        pixels = dark + pixels * rng.uniform(0.6, 1 - dark / 255)
    return np.clip(pixels + rng.uniform(0, 15) * rng.standard_normal(pixels.shape), 0, 255)


def train(images, labels):
    rng = np.random.default_rng(8)
    store = Store()
    net = resnet8(store, rng)
    velocity = {}
    steps = EPOCHS * (len(images) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order, total = rng.permutation(len(images)), 0.0
        for batch in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            x = normalised(np.stack([distorted(images[i], rng) for i in batch]))
            logits = net.forward(x, True)
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            total -= np.log(p[np.arange(BATCH), labels[batch]]).sum()
            # A few smoothed labels keep the logits from growing without end.
            wanted = np.float32(0.005) + np.float32(0.95) * np.eye(10, dtype=np.float32)[labels[batch]]
            net.backward((p - wanted) / np.float32(BATCH))
            rate = RATE * min(1, step / 100) * (1 + np.cos(np.pi * step / steps)) / 2
            for name, gradient in store.gradients.items():
                value = store.values[name]
                if value.ndim > 1:
                    gradient = gradient + np.float32(DECAY) * value
                velocity[name] = np.float32(MOMENTUM) * velocity.get(name, np.float32(0)) + gradient
                store.values[name] = value - np.float32(rate) * velocity[name]
            step += 1
        if epoch % 5 == 4:
            loss = total / (len(images) // BATCH * BATCH)
            print(f"epoch {epoch + 1} of {EPOCHS}: training loss {loss:.4f}", file=sys.stderr)
    return store.values


def load_digits():
    """8x8 Pillow images and their labels."""
    from sklearn import datasets

    digits = datasets.load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
    return [Image.fromarray(p) for p in pixels], digits.target


def held_out_logits():
    """Of the written weights on the written images, and the labels, in the order of the file names."""
    files = sorted(IMAGES.glob("*.png"))
    x = normalised(np.stack([np.asarray(resized(Image.open(file))) for file in files]))
    net = resnet8(Store(read_safetensors(WEIGHTS)), np.random.default_rng(0))
    return net.forward(x, False), np.array([int(file.name[0]) for file in files])


def report(logits, labels):
    wrong = int((logits.argmax(1) != labels).sum())
    top = np.sort(logits, 1)
    print(f"held out: {len(labels) - wrong} of {len(labels)} right, accuracy {1 - wrong / len(labels):.2%}; "
          f"largest |logit| {np.abs(logits).max():.3f}, "
          f"smallest gap between first and second {(top[:, -1] - top[:, -2]).min():.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.check:
        logits, labels = held_out_logits()
        difference = np.abs(logits - np.load(IMAGES / "expected_logits.npy")).max()
        report(logits, labels)
        print(f"largest difference from expected_logits.npy {difference:.2g}")
        return 0 if difference <= 1e-4 else 1

    images, labels = load_digits()
    held_out = np.arange(len(images)) % 5 == 0
    weights = train([resized(images[i]) for i in np.flatnonzero(~held_out)], labels[~held_out])
    write_safetensors(WEIGHTS, weights)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for i in np.flatnonzero(held_out):
        png = io.BytesIO()
        images[i].save(png, "PNG", optimize=True)
        (IMAGES / f"{labels[i]}_{i:04}.png").write_bytes(png.getvalue())
    logits, labels = held_out_logits()
    np.save(IMAGES / "expected_logits.npy", logits)
    report(logits, labels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
