#!/usr/bin/env python3
"""Compilations ended at random moments: every file in the output folder is the old one or the new one, complete, and the
next compilation leaves nothing of those before it."""

import json
import os
import random
import signal
import subprocess
import time

from support import check, compile_digits, contents, models, resnetc, run, temporary_folder

kinds = "exe,static,shared,header,ir,driver"
count = 20


def processes_with(word):
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                command = file.read()
            if word.encode() in os.readlink(f"/proc/{process}/cwd").encode() + command:
                found.append(process)
        except OSError:
            pass
    return [process for process in found if int(process) != os.getpid()]


def check_files(folder, old, new, what):
    """Each file is old or new; a new report says that all are."""
    for name, digest in contents(folder).items():
        if name != "report.json":
            check(digest in (old.get(name), new[name]), f"{what}: {name} is neither old nor new")
    if contents(folder).get("report.json", "") != old.get("report.json", ""):
        report = json.loads((folder / "report.json").read_text())
        check(contents(folder).keys() == new.keys(), f"{what}: a report beside {sorted(contents(folder))}")
        for name, file in report["files"].items():
            check(contents(folder)[name] == file["sha256"] == new[name], f"{what}: {name} is not the one of the report")


def check_evaluation(folder):
    """While the reference evaluator works on a net that takes it many minutes."""
    words = [resnetc(), "compile", models / "cifar10_resnet1202.json", "-w", "random:1", "--size", "1024x1024"]
    words += ["-o", folder / "large", "--emit", "ir"]
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    check(line.startswith("compiling kernels"), line)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    check(process.returncode == 1 and errors == "resnetc: interrupted\n", process.returncode, errors)
    check(not list(folder.iterdir()), list(folder.iterdir()))
    print("SIGTERM during the evaluation: ended, nothing left")


def check_orphan(folder):
    """A worker whose parent has died before it began, so that another process is its parent now."""
    for command in (["time-kernels", "none"], ["time-on-device", "none"], ["compile-runtime", "host-opencl", "o"]):
        for parent, killed in ((os.getpid(), False), (os.getpid() + 1, True)):
            environment = {**os.environ, "RESNETC_PARENT": str(parent)}
            process = subprocess.run([resnetc(), *command], cwd=folder, env=environment, stderr=subprocess.PIPE)
            check((process.returncode == -signal.SIGKILL) == killed, command, parent, process)
    print("workers without their parent end at once")


def main():
    with temporary_folder() as folder:
        check_orphan(folder)
    with temporary_folder() as folder:
        check_evaluation(folder)
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    rng = random.Random(seed)
    print(f"SEED={seed}")
    with temporary_folder() as folder:
        compile_digits(folder / "good", "--emit", kinds, "--no-cache")
        new = contents(folder / "good")
        times = {}
        for cache in ("--no-cache", f"--cache={folder / 'cache'}"):
            for _ in range(2):  # the second run finds a full cache
                start = time.monotonic()
                compile_digits(folder / "timed", "--emit", kinds, cache)
                times[cache] = time.monotonic() - start
        place, temporary = folder / "place", folder / "temporary"
        place.mkdir(), temporary.mkdir()
        out, statuses = place / "out", []
        words = [resnetc(), "compile", models / "digits_resnet8.json", "-w", models / "digits_resnet8.safetensors"]
        words += ["-o", out, "--emit", kinds]
        for i in range(count):
            how = (signal.SIGTERM, signal.SIGKILL)[i % 2]
            cache = rng.choice(list(times))
            what = f"{how.name} number {i}"
            old = {}
            if i % 4 < 2:  # files to be replaced, else a folder that does not exist
                out.mkdir(exist_ok=True)
                for name in new:
                    (out / name).write_text(f"old {name}\n")
                old = contents(out)
            process = subprocess.Popen(
                [*map(str, words), cache], stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
            )
            time.sleep(rng.uniform(0, 1.1 * times[cache]))
            process.send_signal(how)
            _, errors = process.communicate(timeout=100)
            statuses.append(process.returncode)
            if how == signal.SIGTERM:
                # Before resnetc can catch it, the signal ends it at once.
                check(process.returncode in (0, 1, -signal.SIGTERM), what, process.returncode, errors)
                check(process.returncode != 1 or errors.endswith("resnetc: interrupted\n"), what, errors)
                check([path.name for path in place.iterdir()] in ([], ["out"]), what, list(place.iterdir()))
                check(not processes_with(str(place)), f"{what}: children run on")
            deadline = time.monotonic() + 60
            while processes_with(str(place)) and time.monotonic() < deadline:
                time.sleep(0.02)  # compilers of a killed resnetc end by themselves
            check(not list(temporary.iterdir()), f"{what} leaves {list(temporary.iterdir())}")
            if out.exists():
                check(old or contents(out).keys() == new.keys(), f"{what}: half a folder, {sorted(contents(out))}")
                check_files(out, old, new, what)
            else:
                check(process.returncode != 0, f"{what}: no output")
            run(*words, f"--cache={folder / 'cache'}")
            check([path.name for path in place.iterdir()] == ["out"], f"after {what}: {list(place.iterdir())}")
            check_files(out, old, new, f"after {what}")
            run(out / "digits_resnet8", "--self-test")
            for path in out.iterdir():
                path.unlink()
            out.rmdir()
        check(not list((folder / "cache").rglob("*.*")), "left in the cache:", list((folder / "cache").rglob("*.*")))
        ended = sum(status != 0 for status in statuses)
        check(ended >= count // 3, f"only {ended} of {count} were interrupted")
        print(f"{ended} of {count} compilations were interrupted: every file is the old or the new one")


main()
