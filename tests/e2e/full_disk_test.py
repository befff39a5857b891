#!/usr/bin/env python3
"""Disks that are full or read-only: a message that names the file, nothing left behind, old files as they were.

Small disks are mounted in a namespace of the test's own, which an ordinary user may make too on most machines.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
from support import check, compile_digits, contents, models, resnetc, run, skip, temporary_folder

kinds = "exe,static,shared,header,ir,driver"


@contextmanager
def disk(folder, size, options=""):
    place = folder / "disk"
    place.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}{options}", "none", place)
    try:
        yield place
    finally:
        run("umount", place)


def compile_into(output, *more):
    """Status and message of a compilation with every kind of file."""
    words = [resnetc(), "compile", models / "digits_resnet8.json", "-w", models / "digits_resnet8.safetensors"]
    words += ["-o", output, "--emit", kinds, *more]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("compiling kernels")]
    return done.returncode, "\n".join(lines)


def check_refusal(status, message, what):
    check(status == 1 and message.startswith("resnetc: "), f"{what}: status {status}, {message}")
    check("No space left on device" in message or "disk full" in message, f"{what}: {message}")
    check("internal error" not in message, f"{what}: {message}")


def sizes(largest):
    """From a page to more than is needed, in bytes."""
    return sorted({4096 * round(largest * fraction / 4096 + 1) for fraction in (0, 0.003, 0.01, 0.03, *np.arange(0.1, 1.3, 0.1))})


def check_new(folder, good, cache):
    largest = sum(path.stat().st_size for path in good.iterdir())
    stages, written = {}, 0
    for size in sizes(2 * largest):
        with disk(folder, size) as place:
            before = contents(place)
            status, message = compile_into(place / "new" / "out", *cache)
            if status == 0:
                check(set(contents(place / "new/out")) == set(contents(good)), f"{size} bytes: {contents(place)}")
                written += 1
                continue
            check_refusal(status, message, f"a disk of {size} bytes")
            check(not list(place.iterdir()) and contents(place) == before, f"{size} bytes: {list(place.rglob('*'))} are left")
            stages.setdefault(message.splitlines()[0][:150], size)
    for message, size in stages.items():
        print(f"  {size} bytes: {message}")
    check(written >= 1 and len(stages) >= 3, f"{written} written, {stages}")
    print(f"a new folder on {len(sizes(largest))} sizes of disk: whole, or nothing and a message")


def check_update(folder, good):
    largest = sum(path.stat().st_size for path in good.iterdir())
    refused = 0
    for size in sizes(3 * largest)[4:]:
        with disk(folder, size) as place:
            (place / "out").mkdir()
            for path in good.iterdir():
                (place / "out" / path.name).write_text("old")
            before = contents(place)
            status, message = compile_into(place / "out")
            if status != 0:
                check_refusal(status, message, f"an update on {size} bytes")
                check(contents(place) == before and len(list(place.iterdir())) == 1, f"{size} bytes: old files were touched")
                refused += 1
    check(refused >= 3, refused)
    print(f"updates, {refused} of them on a disk that is too small: the old files stay")


def check_others(folder, good):
    digests = {**contents(good), "report.json": ""}
    for size in (4096, 20_480, 65_536):  # of the cache; then of the temporary folder, which is not used at all
        with disk(folder, size) as place:
            compile_digits(folder / "out", "--emit", kinds, "--cache", place / "cache")
            check({**contents(folder / "out"), "report.json": ""} == digests, f"a cache of {size} bytes: other files")
            left = [path for path in (place / "cache").rglob("*.*")]
            check(not left, f"a full cache holds {left}")
    with disk(folder, 4096) as place:
        environment = {**os.environ, "TMPDIR": str(place)}
        compile_digits(folder / "out", "--emit", kinds, env=environment)
        check(not list(place.iterdir()), list(place.iterdir()))
    with disk(folder, "1m", ",ro") as place:
        compile_digits(folder / "out", "--emit", kinds, "--cache", place / "cache")
        for output, where in ((place / "out", place / ".out.resnetc-"), (place / "a/b", place / "a")):
            status, message = compile_into(output)
            wanted = f"resnetc: {where}"
            check(status == 1 and message.startswith(wanted), f"a read-only disk: {message}")
            check(message.endswith(": cannot make the folder: Read-only file system"), f"a read-only disk: {message}")
    print("a full or read-only cache, a full temporary folder: the same files")

    program = good / "digits_resnet8"
    np.save(folder / "x.npy", np.zeros((5000, 1, 16, 16), np.float32))
    with disk(folder, 65_536) as place:
        (place / "y.npy").write_text("old")
        done = run(program, "--input", folder / "x.npy", "--output", place / "y.npy", "--top", 0, "--batch", 64, status=1)
        check(done.stderr == f"digits_resnet8: {place / 'y.npy'}: No space left on device\n", done.stderr)
        check((place / "y.npy").read_text() == "old" and len(list(place.iterdir())) == 1, list(place.iterdir()))
    print("an emitted program whose disk is full: a message, and the old file stays")


def check_records(folder):
    with disk(folder, 8192) as place:
        db = place / "records.jsonl"
        said = run(resnetc(), "tune", models / "digits_resnet8.json", "--db", db, "--budget", "30s", status=1).stderr
        check(f"resnetc: {place}" in said and "No space left on device" in said, said)
        for file in place.iterdir():
            check(file.read_text()[-2:] in ("", "}\n"), f"{file} ends with half a line")
            check(all(json.loads(line) for line in file.read_text().splitlines()), file)
    print("records on a disk that fills up: a message, and every line is whole")


def main():
    if os.environ.get("RESNETC_OWN_MOUNTS") != "1":
        if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode != 0:
            skip("no namespace with mounts of its own can be made here")
        os.environ["RESNETC_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])
    with temporary_folder() as folder:
        compile_digits(folder / "good", "--emit", kinds)
        check_new(folder, folder / "good", [])
        check_new(folder, folder / "good", ["--no-cache"])
        check_update(folder, folder / "good")
        check_others(folder, folder / "good")
        check_records(folder)


main()
