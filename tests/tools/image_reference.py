"""JPEG and PNG files of every kind that the emitted programs read, and the pixels that Pillow finds in them.

Pillow cannot write interlaced, 2-bit or 16-bit colour PNGs, so the PNGs are put together here.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def smooth(rng, height, width, channels, top=255):
    """A few waves and some noise: JPEG leaves something of it."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        wave = np.sin(x * rng.uniform(0.02, 0.6)) + np.cos(y * rng.uniform(0.02, 0.6)) + rng.normal(0, 0.2, x.shape)
        planes.append((wave + 2.6) / 5.2 * top)
    return np.clip(np.stack(planes, -1), 0, top).astype(np.uint16)


def jpeg(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def patch_adobe(data, transform):
    """Says which colour transform a JPEG uses; None removes the Adobe marker."""
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return data[:at] + data[at + 16 :]
    return data[: at + 15] + bytes([transform]) + data[at + 16 :]


def orient(data):
    """Adds an Exif marker that asks for a turn by 90 degrees, which Image.open does not do."""
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def jpegs(rng):
    number = 0
    for width, height in [(1, 1), (7, 5), (8, 8), (16, 17), (33, 47), (120, 90), (201, 150)]:
        colour = Image.fromarray(smooth(rng, height, width, 3).astype(np.uint8))
        for quality in (20, 75, 95, 100):
            for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
                number += 1
                progressive = number % 2 == 0
                name = f"rgb_{width}x{height}_q{quality}_{subsampling.replace(':', '')}{'_progressive' * progressive}"
                yield name + ".jpg", jpeg(colour, quality=quality, subsampling=subsampling, progressive=progressive)
        yield f"gray_{width}x{height}.jpeg", jpeg(colour.convert("L"), quality=80)
        yield f"gray_{width}x{height}_progressive.jpg", jpeg(colour.convert("L"), quality=80, progressive=True)
        yield f"keep_rgb_{width}x{height}.jpg", jpeg(colour, quality=80, keep_rgb=True)
        cmyk = Image.frombytes("CMYK", (width, height), smooth(rng, height, width, 4).astype(np.uint8).tobytes())
        data = jpeg(cmyk, quality=90)
        yield f"cmyk_{width}x{height}.jpg", data
        yield f"ycck_{width}x{height}.jpg", patch_adobe(data, 2)
        yield f"cmyk_no_adobe_{width}x{height}.jpg", patch_adobe(data, None)
        yield f"cmyk_progressive_{width}x{height}.jpg", jpeg(cmyk, quality=90, progressive=True)
    yield "oriented.JPG", orient(jpeg(colour, quality=80))
    yield "restarts.jpg", jpeg(colour, quality=80, restart_marker_blocks=3)
    yield "trailing_bytes.jpg", jpeg(colour, quality=80) + b"anything" * 100
    yield "wrong_suffix.png", jpeg(colour, quality=80)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def filtered(rng, rows, distance):
    """Rows of bytes, each after a random one of PNG's five filters; distance: bytes of a pixel, at least 1."""
    out = bytearray()
    above = [0] * (len(rows[0]) if rows else 0)
    for row in rows:
        kind = rng.integers(5)
        out.append(kind)
        for i, value in enumerate(row):
            left = row[i - distance] if i >= distance else 0
            corner = above[i - distance] if i >= distance else 0
            guess = left + above[i] - corner
            near = min((left, above[i], corner), key=lambda v: abs(guess - v))
            prediction = (0, left, above[i], (left + above[i]) // 2, near)[kind]
            out.append((value - prediction) & 255)
        above = row
    return bytes(out)


def packed_rows(samples, depth):
    """samples: H x W x C."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows.append(list(row.astype(">u2").tobytes()))
        elif depth == 8:
            rows.append([int(v) for v in row])
        else:
            bits = "".join(f"{v:0{depth}b}" for v in row)
            bits += "0" * (-len(bits) % 8)
            rows.append([int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)])
    return rows


def png(rng, samples, colour_type, depth, interlaced=False, before_idat=b""):
    height, width, channels = samples.shape
    distance = max(1, channels * depth // 8)
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b""
    for x, y, dx, dy in passes:
        part = samples[y::dy, x::dx]
        if part.size:
            data += filtered(rng, packed_rows(part, depth), distance)
    packed = zlib.compress(data)
    middle = len(packed) // 2
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header) + before_idat + chunk(b"IDAT", packed[:middle]) + chunk(b"IDAT", packed[middle:])
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def pngs(rng):
    kinds = [(0, 1, 1), (0, 2, 1), (0, 4, 1), (0, 8, 1), (0, 16, 1), (2, 8, 3), (2, 16, 3), (4, 8, 2), (4, 16, 2)]
    kinds += [(6, 8, 4), (6, 16, 4), (3, 1, 1), (3, 2, 1), (3, 4, 1), (3, 8, 1)]
    names = {0: "gray", 2: "rgb", 3: "palette", 4: "gray_alpha", 6: "rgba"}
    for width, height in [(1, 1), (3, 2), (9, 13), (40, 31)]:
        for colour_type, depth, channels in kinds:
            samples = smooth(rng, height, width, channels, (1 << depth) - 1)
            if depth == 16 and width > 3:
                samples[::2] //= 200  # Pillow takes 16-bit grey as it is up to 255 and as 255 above
            for interlaced in (False, True):
                entries = 1 << depth
                chunks = b""
                if colour_type == 3:
                    chunks = chunk(b"PLTE", rng.integers(0, 256, entries * 3, np.uint8).tobytes())
                name = f"{names[colour_type]}{depth}_{width}x{height}{'_interlaced' * interlaced}"
                yield name + ".png", png(rng, samples, colour_type, depth, interlaced, chunks)
                if colour_type == 0:
                    chunks = chunk(b"tRNS", struct.pack(">H", int(samples[0, 0, 0])))
                elif colour_type == 2:
                    chunks = chunk(b"tRNS", struct.pack(">HHH", *(int(v) for v in samples[0, 0])))
                elif colour_type == 3:
                    chunks += chunk(b"tRNS", rng.integers(0, 256, entries, np.uint8).tobytes())
                else:
                    continue
                yield name + "_trns.png", png(rng, samples, colour_type, depth, interlaced, chunks)
    samples = smooth(rng, 12, 10, 3)
    extras = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0") + chunk(b"bKGD", bytes(6))
    extras += chunk(b"tEXt", b"Comment\0" + b"x" * 5000) + chunk(b"sBIT", b"\5\6\5")
    yield "ancillary.png", png(rng, samples, 2, 8, False, extras)
    yield "wrong_suffix.jpg", png(rng, samples, 2, 8)
    palette = chunk(b"PLTE", rng.integers(0, 256, 30, np.uint8).tobytes())
    yield "short_palette.png", png(rng, smooth(rng, 12, 10, 1, 9), 3, 8, False, palette)


def write_images(folder):
    """Fills folder/images, images.txt and images.bin; returns how many images there are."""
    rng = np.random.default_rng(7)
    (folder / "images").mkdir(exist_ok=True)
    count = 0
    with open(folder / "images.txt", "w") as text, open(folder / "images.bin", "wb") as binary:
        for name, data in [*jpegs(rng), *pngs(rng)]:
            (folder / "images" / name).write_bytes(data)
            image = Image.open(io.BytesIO(data)).convert("RGB")
            print(name, *image.size, file=text)
            binary.write(image.tobytes())
            count += 1
    return count
