#!/usr/bin/env python3
"""Makes the images of models/demo/ from what comes with scikit-learn: held-out digits as if drawn with chalk or a
marker, and two photographs made smaller. Needs tests/requirements.txt."""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageFilter
from sklearn import datasets

DEMO = pathlib.Path(__file__).resolve().parents[2] / "models" / "demo"
SIDE = 200


def drawn(index, angle):
    """The digit as a SIDE x SIDE mask, 0..1: smooth outlines instead of 8x8 squares."""
    pixels = datasets.load_digits().images[index] * (255 / 16)
    image = Image.fromarray(np.round(np.pad(pixels, 2)).astype(np.uint8))
    image = image.resize((SIDE * 5 // 4,) * 2, Image.Resampling.BICUBIC).rotate(angle, Image.Resampling.BICUBIC)
    image = image.crop((SIDE // 8, SIDE // 8, SIDE // 8 + SIDE, SIDE // 8 + SIDE)).filter(ImageFilter.GaussianBlur(3))
    return np.clip((np.asarray(image, np.float64) / 255 - 0.32) / 0.3, 0, 1)


def painted(mask, ground, ink, grain, rng):
    """Colours are RGB, 0..255. The net saw light digits on a dark ground only."""
    mask = (mask * (1 + grain / 100 * rng.standard_normal(mask.shape)))[..., None].clip(0, 1)
    colours = np.array(ground) * (1 - mask) + np.array(ink) * mask + grain * rng.standard_normal(mask.shape)
    return Image.fromarray(np.round(np.clip(colours, 0, 255)).astype(np.uint8))


def main():
    rng = np.random.default_rng(5)
    chalk, marker = ((30, 52, 42), (236, 240, 228)), ((10, 12, 16), (120, 220, 255))
    night = ((24, 20, 48), (255, 214, 120))
    # index of the digit (a multiple of 5: held out), angle in degrees, colours, grain, file type
    images = [
        (925, 6, chalk, 14, "jpg"), (1160, -8, marker, 6, "jpg"), (1340, 4, night, 10, "jpg"),
        (145, -5, chalk, 10, "png"), (560, 8, night, 6, "png"), (1780, 0, marker, 0, "png"),
    ]
    digits = DEMO / "digits"
    digits.mkdir(parents=True, exist_ok=True)
    target = datasets.load_digits().target
    for index, angle, (ground, ink), grain, kind in images:
        if index % 5:
            sys.exit(f"digit {index} is not held out")
        image = painted(drawn(index, angle), ground, ink, grain, rng)
        options = {"quality": 90} if kind == "jpg" else {"optimize": True}
        image.save(digits / f"{target[index]}_{index:04}.{kind}", **options)

    photos = DEMO / "photos"
    photos.mkdir(exist_ok=True)
    for name in ("china", "flower"):
        photo = Image.fromarray(datasets.load_sample_image(f"{name}.jpg"))
        photo = photo.resize((480, round(480 * photo.height / photo.width)), Image.Resampling.LANCZOS)
        photo.save(photos / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
