#!/usr/bin/env python3
"""A damaged object in the cache: it is noticed and compiled anew, never linked into a program."""

import os
import shutil

from support import check, compile_digits, contents, run, temporary_folder


def cut(data):
    return data[: len(data) // 2]


def cut_last_byte(data):
    return data[:-1]


def flip_bits(data):
    """Some bytes in the middle of the code."""
    middle = len(data) // 3
    return data[:middle] + bytes(byte ^ 0x55 for byte in data[middle : middle + 64]) + data[middle + 64 :]


def empty(_):
    return b""


def header_alone(data):
    return data[: data.index(b"\n") + 1]


def zeros(data):
    return bytes(len(data))


def other_scratch(data):
    """A false number of scratch bytes, which would let kernels write past their scratch."""
    line, rest = data.split(b"\n", 1)
    words = line.split(b" ")
    return b" ".join(words[:-1] + [b"64"]) + b"\n" + rest if words[-1] != b"64" else b"0\n" + data


def main():
    with temporary_folder() as folder:
        emit = ["--emit", "exe,static,shared,header,ir,driver"]
        compile_digits(folder / "good", *emit, "--no-cache")
        good = {**contents(folder / "good"), "report.json": ""}
        compile_digits(folder / "first", *emit, "--cache", folder / "cache")
        objects = sorted(path for path in (folder / "cache").rglob("*") if path.is_file())
        check(len(objects) >= 11, "objects in the cache:", objects)
        for damage in (cut, cut_last_byte, flip_bits, empty, header_alone, zeros, other_scratch):
            shutil.rmtree(folder / "damaged", ignore_errors=True)
            shutil.copytree(folder / "cache", folder / "damaged")
            for path in objects:
                place = folder / "damaged" / path.relative_to(folder / "cache")
                place.write_bytes(damage(place.read_bytes()))
            for attempt in ("first", "second"):  # the damaged objects are replaced
                compile_digits(folder / "out", *emit, "--cache", folder / "damaged")
                out = {**contents(folder / "out"), "report.json": ""}
                check(out == good, f"{damage.__name__}: other files at the {attempt} attempt")
            run(folder / "out" / "digits_resnet8", "--self-test")
            print(f"{damage.__name__} of {len(objects)} objects: the same files")

        shutil.rmtree(folder / "damaged")
        shutil.copytree(folder / "cache", folder / "damaged")
        for path in objects:  # not files
            place = folder / "damaged" / path.relative_to(folder / "cache")
            place.unlink()
            place.mkdir()
        compile_digits(folder / "out", *emit, "--cache", folder / "damaged")
        check({**contents(folder / "out"), "report.json": ""} == good, "folders in place of objects: other files")
        if os.geteuid() != 0:
            shutil.copytree(folder / "cache", folder / "locked")
            for path in [folder / "locked", *(folder / "locked").rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            compile_digits(folder / "out", *emit, "--cache", folder / "locked")


main()
