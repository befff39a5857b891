#!/usr/bin/env python3
"""What the emitted program says of images and .npy files that it cannot take: a table of cases with their messages."""

import io
import os
import signal
import struct
import subprocess
import time

import numpy as np
from bounded import Worst, things_in
from image_reference import chunk
from PIL import Image
from support import built, check, root, temporary_folder

program = built("digits_resnet8") / "digits_resnet8"  # takes N x 1 x 16 x 16
picture = (root / "models" / "demo" / "digits" / "5_0145.png").read_bytes()


def jpeg(mode="RGB", size=(40, 30), **options):
    stream = io.BytesIO()
    Image.new(mode, size, 77).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(width, height, *chunks, depth=8, colour=2):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def jpeg_frame(width, height, marker=0xC0):
    """The head of a JPEG of three channels that ends where its pixels start."""
    frame = struct.pack(">BHH", 8, height, width) + bytes([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    scan = bytes([3, 1, 0, 2, 0, 3, 0, 0, 63 if marker == 0xC0 else 0, 0])
    parts = [bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in ((marker, frame), (0xDA, scan))]
    return b"\xff\xd8" + b"".join(parts)


def images():
    """File name -> (contents, message)."""
    neither = "is neither a JPEG nor a PNG file"
    scrambled = bytearray(picture)
    scrambled[len(picture) // 2] ^= 0x55
    return {
        "empty.png": (b"", "is empty"),
        "text.jpg": (b"not an image\n", neither),
        "gif.png": (b"GIF89a" + bytes(40), neither),
        "webp.jpg": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(40), neither),
        "magic_alone.jpg": (b"\xff\xd8\xff", "is truncated"),
        "magic_alone.png": (picture[:8], "is truncated"),
        "half.png": (picture[: len(picture) // 2], "is truncated"),
        "without_end.png": (picture[:-30], "is truncated"),
        "half.jpg": (jpeg()[:-200], "is truncated"),
        "header_alone.jpg": (jpeg()[: jpeg().index(b"\xff\xda") + 14], "is truncated"),
        "no_tables.jpg": (
            jpeg_frame(40, 30),
            "is a damaged or unsupported JPEG: Quantization table 0x00 was not defined",
        ),
        "no_width.png": (png(0, 5), "is a damaged PNG: Invalid IHDR data"),
        "no_height.png": (png(5, 0), "is a damaged PNG: Invalid IHDR data"),
        "no_width.jpg": (jpeg_frame(0, 5), "is a damaged or unsupported JPEG: Empty JPEG image (DNL not supported)"),
        "huge.png": (png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", b"")), "has 2147483647 x 2147483647 pixels; from 1 to 268435456 are taken"),
        "larger.png": (png(2**32 - 1, 1), "is a damaged PNG: PNG unsigned integer out of range"),
        "long.png": (png(1, 2**21, chunk(b"IDAT", b"")), "has 1 x 2097152 pixels; up to 1048576 a side are taken"),
        "huge.jpg": (jpeg_frame(65500, 65500), "has 65500 x 65500 pixels; from 1 to 268435456 are taken"),
        "scans.jpg": (
            jpeg_frame(16000, 16000, 0xC2),
            "has 16000 x 16000 pixels in several scans, which take more than 768 MB to decode; save it as a baseline JPEG",
        ),
        "odd_depth.png": (png(4, 4, depth=3), "is a damaged PNG: Invalid IHDR data"),
        "checksum.png": (picture[:29] + b"\0\0\0\0" + picture[33:], "is a damaged PNG: IHDR: CRC error"),
        "scrambled.png": (bytes(scrambled), "is a damaged PNG: bad adaptive filter value"),
        "no_palette.png": (png(4, 4, chunk(b"IDAT", b"x"), colour=3), "is a damaged PNG: IDAT: Missing PLTE before IDAT"),
        "no_zlib.png": (png(4, 4, chunk(b"IDAT", b"x" * 20)), "is a damaged PNG: IDAT: incorrect header check"),
        "two_channels.jpg": (
            jpeg_frame(8, 8).replace(b"\x03\x01\x11\0\x02\x11\0\x03\x11\0", b"\x02\x01\x11\0\x02\x11\0", 1),
            "is a damaged or unsupported JPEG: Bogus marker length",
        ),
        "lossless.jpg": (
            jpeg_frame(8, 8, 0xC3),
            "is a damaged or unsupported JPEG: Unsupported JPEG process: SOF type 0xc3",
        ),
    }


def npy(header, values=b"", version=(1, 0), magic=b"\x93NUMPY"):
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return magic + bytes(version) + length + header.encode() + values


def arrays():
    """Name -> (contents, message)."""

    def saved(array, version=None):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, version)
        return stream.getvalue()

    def typed(name):
        return (
            f"has values of type {name}; <f4 is taken, little-endian float32: "
            'save it with numpy.save(file, x.astype("<f4"))'
        )

    def header(shape, order="False", descr="'<f4'"):
        return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"

    x = np.zeros((2, 1, 16, 16), "<f4")
    damaged = "has a damaged .npy header"
    good = saved(x)
    return {
        "empty": (b"", "is empty"),
        "npz": (b"PK\x03\x04" + bytes(30), "is not a .npy file"),
        "short": (good[:6], "is not a .npy file"),
        "version 4": (npy(header("(2, 1, 16, 16)"), version=(4, 0)), "is of .npy version 4.0; 1.0, 2.0 and 3.0 are taken"),
        "version 1.1": (npy(header("(2, 1, 16, 16)"), version=(1, 1)), "is of .npy version 1.1; 1.0, 2.0 and 3.0 are taken"),
        "cut in its header": (good[:50], "is truncated in its header"),
        "huge header": (npy("", version=(2, 0))[:-4] + b"\xff\xff\xff\x7f", "has a header of 2147483647 bytes; that is no array of images"),
        "deep header": (npy("(" * 60_000), damaged),
        "no dictionary": (npy("[]"), damaged),
        "no shape": (npy("{'descr': '<f4', 'fortran_order': False}"), damaged),
        "negative shape": (npy(header("(-1, 1, 16, 16)")), damaged),
        "shape of 2^64": (npy(header("(18446744073709551616, 1, 16, 16)")), damaged),
        "too large": (npy(header("(1844674407370955160, 1, 16, 16)")), "is too large: (1844674407370955160, 1, 16, 16)"),
        "float64": (saved(x.astype("<f8")), typed("<f8")),
        "float16": (saved(x.astype("<f2")), typed("<f2")),
        "big-endian": (saved(x.astype(">f4")), typed(">f4")),
        "uint8": (saved(x.astype(np.uint8)), typed("|u1")),
        "object": (npy(header("(2, 1, 16, 16)", descr="'|O'")), typed("|O")),
        "structured": (saved(np.zeros(2, [("a", "<f4")])), typed("[('a', '<f4')]")),
        "Fortran order": (
            saved(np.asfortranarray(np.zeros((2, 1, 16, 16), "<f4"))),
            "is in Fortran order; C order is taken: save it with numpy.save(file, numpy.ascontiguousarray(x))",
        ),
        "one image without N": (saved(x[0]), "has the shape (1, 16, 16); the net takes (N, 1, 16, 16)"),
        "channels last": (saved(x.reshape(2, 16, 16, 1)), "has the shape (2, 16, 16, 1); the net takes (N, 1, 16, 16)"),
        "scalar": (saved(np.float32(1)), "has the shape (); the net takes (N, 1, 16, 16)"),
        "cut": (good[:-1], "is truncated: 2048 bytes of values by its shape, 2047 in the file"),
        "too long": (good + b"x", "has bytes after its values: 2048 bytes of values by its shape, 2049 in the file"),
    }


def check_images(folder):
    worst = Worst()
    for name, (contents, message) in images().items():
        (folder / name).write_bytes(contents)
        worst.refused(folder, name, [program, name], f"digits_resnet8: {name}: {message}", megabytes=60)
    (folder / "folder.png").mkdir()
    worst.refused(folder, "an empty folder", [program, "folder.png"], "digits_resnet8: folder.png: holds no .jpg, .jpeg or .png file")
    worst.refused(folder, "no file", [program, "gone.png"], "digits_resnet8: gone.png: No such file or directory")
    name = 'it\'s "$(touch x)"; rm *.png'
    (folder / name).write_bytes(picture[:100])
    worst.refused(folder, "shell characters", [program, name], f"digits_resnet8: {name}: is truncated")
    if os.geteuid() != 0:
        (folder / "secret.png").write_bytes(picture)
        (folder / "secret.png").chmod(0)
        worst.refused(folder, "secret.png", [program, "secret.png"], "digits_resnet8: secret.png: Permission denied")
    print(f"images: {worst}")


def check_arrays(folder):
    worst = Worst()
    for name, (contents, message) in arrays().items():
        (folder / "x.npy").write_bytes(contents)
        command = [program, "--input", "x.npy", "--output", "y.npy"]
        worst.refused(folder, name, command, f"digits_resnet8: x.npy: {message}", megabytes=60)
    x = np.zeros((3, 1, 16, 16), "<f4")
    x[0], x[2, 0, 15, 15] = np.nan, -np.inf
    np.save(folder / "x.npy", x)
    words = [f"digits_resnet8: x.npy[{i}]: the input is not finite" for i in (0, 2)]
    worst.refused(folder, "values that are not finite", [program, "--input", "x.npy", "--top", 0], "\n".join(words))
    (folder / "x.npy").write_bytes(b"")
    worst.refused(folder, "folder", [program, "--input", "."], "digits_resnet8: .: is a directory")
    worst.refused(folder, "no file", [program, "--input", "gone.npy"], "digits_resnet8: gone.npy: No such file or directory")
    print(f".npy files: {worst}")


def check_outputs(folder):
    worst = Worst()
    (folder / "x.png").write_bytes(picture)
    for path, message in {
        "gone/y.npy": "No such file or directory",
        "x.png/y.npy": "Not a directory",
        ".": "is not a regular file",
        "/dev/null": "is not a regular file",
        "n" * 300: "File name too long",
        "/proc/y.npy": "No such file or directory",
    }.items():
        command = [program, "x.png", "--output", path, "--top", 0]
        worst.refused(folder, path, command, f"digits_resnet8: {path}: {message}")
    print(f"outputs: {worst}")


def check_signals(folder):
    """A signal while a file is written: the old file stays, and nothing else. The pipe is never written to the end."""
    whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 1, 16, 16)}\n", bytes(1000 * 1024))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        (folder / "y.npy").write_text("old")
        before = things_in(folder)
        command = [program, "--input", "/dev/stdin", "--output", "y.npy", "--top", "0"]
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(whole[:-5000])
        process.stdin.flush()
        while len(things_in(folder)) == len(before) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=100)
        check(process.returncode == 1, number, process.returncode, errors)
        check((folder / "y.npy").read_text() == "old" and things_in(folder) == before, number, things_in(folder))
    print("signals while an output is written: the old file stays")


def main():
    check(program.exists(), program)
    for each in (check_images, check_arrays, check_outputs, check_signals):
        with temporary_folder() as folder:
            each(folder)


main()
