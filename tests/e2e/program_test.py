#!/usr/bin/env python3
"""The emitted program where things go wrong or are missing: an empty root, full disks, closed descriptors.

    program_test.py PHOTO_PROGRAM     resnet18's, with ImageNet's preprocessing

What its flags do on good days is in tests/tools/program_check.py.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
from PIL import Image
from support import built, check, check_equal_bits, models, root, run, temporary_folder

program = built("digits_resnet8") / "digits_resnet8"
data = root / "tests" / "data" / "digits"


def check_empty_root(folder):
    """In a root that holds nothing but the program and an input: no /proc, /sys, /tmp, /etc or libraries."""
    if os.geteuid() != 0:
        print("not root: the program was not tried alone in an empty root")
        return
    place = folder / "empty_root"
    place.mkdir()
    shutil.copy(program, place / "net")
    digit = min(data.glob("*.png"))
    shutil.copy(digit, place / "digit.png")
    run(program, digit, "--dump-input", place / "x.npy", "--output", folder / "y.npy")

    def enter():
        os.chroot(place)
        os.chdir("/")

    def alone(*arguments):
        return run("/net", *arguments, preexec_fn=enter, env={}).stdout

    print("alone in an empty root:", alone("--self-test"), end="")
    alone("--input", "/x.npy", "--output", "/y.npy", "--threads", 2)
    check_equal_bits("--input in an empty root", np.load(place / "y.npy"), np.load(folder / "y.npy"))
    top = json.loads(alone("/digit.png", "--json"))["top"]
    check(top[0]["label"] == digit.name[0], "an image in an empty root:", top)
    check("digits_resnet8" in alone("--info"), "--info in an empty root")
    speed = json.loads(alone("--benchmark", 0.05, "--json"))
    check(speed["runs"] >= 1 and speed["peak_rss_bytes"] > 0, speed)


def check_photos(photo_program):
    """What photos become, bit for bit as Pillow and numpy make it, and the first answer of a plain run."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    photos = sorted((models / "demo" / "photos").glob("*.jpg"))
    wanted = []
    for photo in photos:
        image = Image.open(photo).convert("RGB")
        width, height = image.size
        short = min(width, height)
        size = (256, int(256 * height / width)) if width == short else (int(256 * width / height), 256)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float64)
        wanted.append(((pixels * 0.00392156862745098 - mean) / std).transpose(2, 0, 1).astype(np.float32))
    with temporary_folder() as folder:
        run(photo_program, *photos, "--dump-input", folder / "x.npy")
        check_equal_bits("preprocessing of photos", np.load(folder / "x.npy"), np.stack(wanted))
    print(f"{len(photos)} photos: the input equals that of Pillow and numpy, bit for bit")


def check_full_disk(folder, x):
    """Nothing is left of a file that could not be written, and an older one stays."""

    def limit(size):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit then fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    old = folder / "y.npy"
    old.write_bytes(b"old")
    for size in (0, 100, 300):  # of 312 bytes
        done = run(program, "--input", x, "--output", old, status=1, preexec_fn=lambda size=size: limit(size))
        check(str(old) in done.stderr and "too large" in done.stderr, done.stderr)
        check(old.read_bytes() == b"old", "an older file was harmed")
    check(run(program, "--input", x, "--output", "/dev/full", status=1).stderr != "", "/dev/full: no message")
    check(sorted(path.name for path in folder.iterdir()) == ["x.npy", "y.npy"], list(folder.iterdir()))
    with open("/dev/full", "w") as full:
        for arguments in (["--input", x], ["--help"], ["--licences"], ["--info"], ["--self-test"], ["--json", data]):
            done = run(program, *arguments, status=1, stdout=full)
            check("No space left" in done.stderr, arguments, done.stderr)
    print("full disk: exit 1 and a message everywhere, no file left behind")


def check_closed_descriptors(folder, x):
    """With 0, 1 and 2 closed, no result lands in a file that happens to get their number."""
    for closed in ([1], [2], [1, 2], [0, 1, 2]):
        arguments = [str(word) for word in (program, "--input", x, "--output", folder / "z.npy")]
        done = subprocess.run(
            arguments, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda closed=closed: [os.close(number) for number in closed],
        )  # fmt: skip
        check(done.returncode == (1 if 1 in closed else 0), f"with {closed} closed: status {done.returncode}")
        if (folder / "z.npy").exists():
            check(np.load(folder / "z.npy").shape == (3, 10), "--output with closed descriptors")
            (folder / "z.npy").unlink()
    print("closed standard descriptors: no result lands elsewhere")


def check_broken_image(folder):
    """One broken image in a folder: the others are answered, the exit status tells."""
    place = folder / "images"
    place.mkdir()
    names = ["a.png", "b.png", "d.png"]
    for name, image in zip(names, sorted(data.glob("*.png"))[::100]):
        shutil.copy(image, place / name)
    whole = (place / "a.png").read_bytes()
    (place / "c.png").write_bytes(whole[: len(whole) // 2])
    done = run(program, "--json", place, "--batch", 2, "--output", folder / "broken.npy", status=1)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    check([pathlib.Path(each["file"]).name for each in results] == ["a.png", "b.png", "c.png", "d.png"], done.stdout)
    check([i for i, each in enumerate(results) if "error" in each] == [2], done.stdout)
    check(done.stderr == "" and np.load(folder / "broken.npy").shape == (3, 10), done.stderr)
    print(f"one broken image of four: {results[2]['error']!r}, three answers")


def check_texts():
    licences = run(program, "--licences").stdout
    for word in ("Apache License", "libpng", "libjpeg", "zlib", "glibc|GNU C Library", "Halide", "libstdc|GCC Runtime"):
        check(re.search(word, licences, re.IGNORECASE), f"--licences says nothing of {word}")
    info = run(program, "--info").stdout
    for word in ("digits_resnet8", "1, 16, 16", "10", "77754", "gray"):
        check(word in info, f"--info says nothing of {word}:\n{info}")
    usage = run(program, "--help").stdout
    flags = "top threads batch info self-test licences json input output dump-input benchmark".split()
    check(all(f"--{flag}" in usage for flag in flags), usage)


def main():
    check_texts()
    check_photos(pathlib.Path(sys.argv[1]))
    with temporary_folder() as folder:
        check_broken_image(folder)
    with temporary_folder() as folder:
        np.save(folder / "x.npy", np.zeros((3, 1, 16, 16), np.float32))
        check_full_disk(folder, folder / "x.npy")
        check_closed_descriptors(folder, folder / "x.npy")
        check_empty_root(folder)


main()
