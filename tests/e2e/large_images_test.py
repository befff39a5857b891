#!/usr/bin/env python3
"""Pictures of 100 megapixels become what Pillow makes of them, in bounded memory: some rows of a baseline JPEG or a PNG,
the whole only where the format scatters its pixels over the file."""

import zlib

import numpy as np
from bounded import bounded
from image_reference import chunk
from PIL import Image
from support import built, check, check_equal_bits, temporary_folder

side = 10_000
Image.MAX_IMAGE_PIXELS = None
program = built("digits_resnet8") / "digits_resnet8"  # takes 16 x 16 pixels of grey


def interlaced_png(pixels):
    """Of grey pixels; Pillow writes none."""
    rows = []
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y::dy, x::dx]
        rows.append(np.pad(part, ((0, 0), (1, 0))).tobytes())  # each row begins with its filter: none
    size = side.to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 1]))
    data = chunk(b"IDAT", zlib.compress(b"".join(rows), 1))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def main():
    rng = np.random.default_rng(4)
    colours = Image.fromarray(rng.integers(0, 256, (50, 50, 3), np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    # What is kept of a picture, in bytes: of an interlaced PNG 3 a pixel, of a progressive JPEG 2 a sample.
    cases = {
        "baseline.jpg": (lambda path: colours.save(path, quality=80), 0),
        "plain.png": (lambda path: colours.save(path, compress_level=1), 0),
        "progressive.jpg": (lambda path: colours.save(path, quality=80, progressive=True), 1.5 * 2 * side**2),
        "interlaced.png": (lambda path: path.write_bytes(interlaced_png(np.asarray(colours.convert("L")))), 3 * side**2),
    }
    for name, (write, kept) in cases.items():
        with temporary_folder() as folder:
            path = folder / name
            write(path)
            limit = 30 + kept / 1e6
            status, out, err, seconds, megabytes = bounded(
                program, path, "--top", 0, "--dump-input", folder / "x.npy", megabytes=limit, seconds=60
            )
            check(status == 0, name, out, err)
            with Image.open(path) as image:
                small = image.convert("RGB").convert("L").resize((16, 16), Image.Resampling.BILINEAR)
            wanted = ((np.asarray(small, np.float64) * 0.00392156862745098 - 0.3) / 0.35).astype(np.float32)
            check_equal_bits(name, np.load(folder / "x.npy"), wanted[None, None])
            print(f"{name}: {side} x {side} pixels, {path.stat().st_size / 1e6:.1f} MB: {seconds:.2f} s, {megabytes:.0f} MB")


main()
