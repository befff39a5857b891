"""Writes what Pillow makes of random pictures and of image files, for tests/runtime to compare bit for bit.

    preprocess_reference.py DIR

preprocess.txt  one case a line: seed, width and height of the picture, resize, crop, interpolation, order, result
preprocess.bin  the results, 8 bit, channels x height x width, one after the other
images/         JPEG and PNG files; images.txt names them, with the size that Pillow finds
images.bin      their pixels as Image.open(f).convert("RGB") gives them, one after the other
versions.txt    of Pillow and its libjpeg-turbo

torchvision's rules are written out here, so that the test needs Pillow and numpy only.
"""

import pathlib
import random
import sys

import numpy as np
import PIL
from PIL import Image, features

from image_reference import write_images

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def picture(seed, width, height):
    """Noise, a fixed function of the seed; every other picture has 0 and 255 only, where bicubic overshoots most."""
    x = (np.arange(width * height * 3, dtype=np.uint64) + np.uint64(seed * 0x9E3779B9)) & np.uint64(0xFFFFFFFF)
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x45D9F3B)) & np.uint64(0xFFFFFFFF)
    x = x >> np.uint64(24)
    if seed % 2 == 0:
        x = np.where(x < 128, 0, 255)
    return Image.fromarray(x.astype(np.uint8).reshape(height, width, 3))


def resize(image, mode, size, interpolation):
    """torchvision.transforms.functional.resize of a PIL image."""
    if mode == "none":
        return image
    width, height = image.size
    if mode == "exact":
        new = (size[1], size[0])
    else:
        short, long = min(width, height), max(width, height)
        new_long = int(size[0] * long / short)
        new = (size[0], new_long) if width <= height else (new_long, size[0])
    # Pillow 13 goes down before it goes across where the height shrinks by more than twice what the width does, and
    # rounds otherwise. All versions before it, and the emitted programs, go across first.
    if int(PIL.__version__.split(".")[0]) >= 13:
        image = image.resize((new[0], image.size[1]), FILTERS[interpolation])
    return image if new == image.size else image.resize(new, FILTERS[interpolation])


def center_crop(pixels, height, width):
    """torchvision.transforms.functional.center_crop, on an array H x W x C."""
    if height == 0:
        return pixels
    h, w = pixels.shape[:2]
    if height > h or width > w:
        dh, dw = max(height - h, 0), max(width - w, 0)
        pixels = np.pad(pixels, ((dh // 2, (dh + 1) // 2), (dw // 2, (dw + 1) // 2), (0, 0)))
        h, w = pixels.shape[:2]
    top, left = int(round((h - height) / 2.0)), int(round((w - width) / 2.0))
    return pixels[top : top + height, left : left + width]


def result(case):
    image = picture(case["seed"], case["width"], case["height"])
    if case["order"] == "gray":
        image = image.convert("L")
    image = resize(image, case["resize"], case["size"], case["interpolation"])
    pixels = np.asarray(image).reshape(image.size[1], image.size[0], -1)
    pixels = center_crop(pixels, *case["crop"])
    if case["order"] == "bgr":
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def side(rng):
    """1 to 600, small ones often."""
    return rng.choice([rng.randint(1, 8), rng.randint(1, 64), rng.randint(1, 300), rng.randint(1, 600)])


def random_case(rng, seed):
    mode = rng.choice(["none", "shorter", "shorter", "exact", "exact"])
    width, height = side(rng), side(rng)
    if rng.random() < 0.1:
        width, height = rng.choice([(1, height), (width, 1), (600, height), (width, 600)])
    size = [rng.randint(1, 300), rng.randint(1, 300)]
    if rng.random() < 0.1:
        size = [min(width, height)] * 2
    if mode == "exact" and rng.random() < 0.2:
        size[rng.randint(0, 1)] = rng.choice([height, width])
    crop = [0, 0]
    # The longer side can be anything: without a crop the result could have millions of pixels.
    if mode == "shorter" or rng.random() < 0.6:
        crop = [rng.randint(1, 240), rng.randint(1, 240)]
    interpolation = rng.choice(list(FILTERS))
    order = rng.choice(["rgb", "rgb", "bgr", "gray"])
    case = dict(seed=seed, width=width, height=height, resize=mode, size=size, crop=crop)
    return dict(case, interpolation=interpolation, order=order)


def fixed_cases():
    """What nets use: the shorter side to 256 or 232 and a crop of 224, CIFAR's 32 as it is, and a photograph's size."""
    seed = 100000
    sizes = [(500, 375), (375, 500), (1024, 768), (224, 224), (256, 256), (257, 256), (640, 480), (3, 1000)]
    for width, height in sizes:
        for interpolation in FILTERS:
            for side_length in (256, 232):
                seed += 1
                yield dict(
                    seed=seed,
                    width=width,
                    height=height,
                    resize="shorter",
                    size=[side_length, side_length],
                    crop=[224, 224],
                    interpolation=interpolation,
                    order="rgb",
                )
    base = dict(resize="none", size=[0, 0], crop=[0, 0], interpolation="bilinear")
    for order in ("rgb", "bgr", "gray"):
        yield dict(base, seed=seed + 1, width=32, height=32, order=order)
    yield dict(
        seed=seed + 2,
        width=2000,
        height=1500,
        resize="exact",
        size=[224, 224],
        crop=[0, 0],
        interpolation="bicubic",
        order="rgb",
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    cases = [random_case(rng, seed) for seed in range(400)] + list(fixed_cases())
    with open(folder / "preprocess.txt", "w") as text, open(folder / "preprocess.bin", "wb") as binary:
        for case in cases:
            pixels = result(case)
            numbers = [case["seed"], case["width"], case["height"], case["resize"], *case["size"], *case["crop"]]
            print(*numbers, case["interpolation"], case["order"], *pixels.shape, file=text)
            binary.write(pixels.tobytes())
    count = write_images(folder)
    libjpeg = features.version("libjpeg_turbo") or "unknown"
    (folder / "versions.txt").write_text(f"{PIL.__version__} {libjpeg}\n")
    print(f"{len(cases)} preprocessing cases and {count} images by Pillow {PIL.__version__}, libjpeg-turbo {libjpeg}")


if __name__ == "__main__":
    main()
