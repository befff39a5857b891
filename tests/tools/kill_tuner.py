#!/usr/bin/env python3
"""Kills `resnetc tune` N times with SIGKILL, at random moments, in the middle of its writing and while whole nets are
timed, and goes on each time. No record that was once in the file may be lost, no line may be broken, no process may run on, and
the next run must leave nothing of those before it, nor a win that no whole net has judged.

Usage: kill_tuner.py RESNETC N [SEED]
"""

import functools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "digits_resnet8.json"
KILLS_OF_A_FILE = 10  # then a new one, so that there is always something left to try
EVERY_NET = 4  # so many kills have one that waits for whole nets
# Time for the whole net; of one kernel, so that it comes soon.
WHOLE_NET = ["--budget", "14s", "--kernels", "^conv2d_i8x8x32b1_w32x3x3x32_w32_i"]


def check(condition, *message):
    if not condition:
        sys.exit("FAILED: " + " ".join(map(str, message)))


def start(resnetc, db, temporary, options=("--budget", "4s")):
    command = [resnetc, "tune", MODEL, "--db", db, "--threads", "2", *options]
    return subprocess.Popen(
        [*map(str, command)], stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
    )


def lines_of(file):
    """Every line, which must be whole: a record."""
    text = file.read_text() if file.exists() else ""
    check(text == "" or text.endswith("\n"), f"{file}: half a line:", text[-200:])
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            check("key" in json.loads(line), f"{file}:{number}: no record:", line)
        except ValueError:
            check(False, f"{file}:{number}: not JSON:", line)
    return lines


def processes_in(folder):
    """Those that work in the folder or name it."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
            if str(folder) in command + os.readlink(f"/proc/{process}/cwd"):
                found.append(command.replace("\0", " "))
        except OSError:
            pass
    return found


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.0005)


def size(file):
    return file.stat().st_size if file.exists() else 0


def times_nets(temporary, earlier):
    """Whether a run does whose folder is none of the earlier ones."""
    return any(net.parent not in earlier for net in temporary.glob(".resnetc-tune*/net"))


def bytes_of(files):
    return [file.read_bytes() if file.exists() else b"" for file in files]


def kill_once(rng, process, files, duration, in_net):
    """in_net: says that whole nets are timed, or None. Returns whether it was killed before it ended by itself, and what was
    in the files just before."""
    if in_net:
        wait_until(lambda: process.poll() is not None or in_net(), 60)
        wait_until(lambda: process.poll() is not None, rng.uniform(0, 5))
    elif rng.random() < 0.5:
        wait_until(lambda: process.poll() is not None, rng.uniform(0, 1.1 * duration))
    else:  # just when a line is written
        for _ in range(rng.randint(1, 12)):
            sizes = [size(file) for file in files]
            wait_until(lambda: process.poll() is not None or [size(file) for file in files] != sizes, duration)
    seen = bytes_of(files)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive, seen


def provisional(db):
    """Kernels of whose records no whole net has judged the last."""
    last = {}
    for record in map(json.loads, lines_of(db)):
        last[record["key"]] = record
    return {key for key, record in last.items() if record.get("provisional")}


def check_only_grown(files, before):
    for file, old, now in zip(files, before, bytes_of(files)):
        check(now.startswith(old), f"{file.name}: a run that ended by itself lost what was there:", old[-300:])


def judge(resnetc, files, temporary):
    """Runs until whole nets have been timed: none of the wins that a kill has left stays unjudged."""
    db = files[0]
    for budget in (14, 30, 60, 120):
        before = bytes_of(files)
        kernels = "|".join(f"^{key}$" for key in sorted(provisional(db))) or WHOLE_NET[-1]
        process = start(resnetc, db, temporary, ["--budget", f"{budget}s", "--kernels", kernels])
        _, said = process.communicate(timeout=2 * budget + 100)
        check(process.returncode == 0, "status", process.returncode, said)
        check_only_grown(files, before)
        if "after tuning" in said:
            check(not provisional(db), "neither confirmed nor dropped:", provisional(db), said)
            return
    check(False, "the whole net was not timed:", said)


def finish(resnetc, files, temporary):
    """A run that ends by itself, with more time where a busy machine left none to time a kernel. Returns its seconds."""
    for budget in (4, 16, 64):
        before, began = bytes_of(files), time.monotonic()
        process = start(resnetc, files[0], temporary, ["--budget", f"{budget}s"])
        _, said = process.communicate(timeout=2 * budget + 200)
        check_only_grown(files, before)
        if process.returncode == 0 or "no kernel could be timed" not in said:
            break
    check(process.returncode == 0 and "skipped" not in said, "status", process.returncode, said)
    check([name for name in os.listdir(temporary) if not name.endswith(".lock")] == [], os.listdir(temporary))
    check(all(lines_of(file) for file in files), "nothing was written", said)
    return time.monotonic() - began


def files_of(db):
    return [db, db.with_suffix(".trials.jsonl")]


def main():
    resnetc, count = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    attempts, killed, in_nets, records = 0, 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="resnetc-kill-") as name:
        folder = pathlib.Path(name)
        temporary = folder / "tmp"
        temporary.mkdir()
        duration = finish(resnetc, files_of(folder / "whole.jsonl"), temporary)
        while killed < count:
            i, attempts = killed, attempts + 1
            check(attempts <= 10 * count, f"only {killed} of {attempts} runs were still running when killed")
            db = folder / f"records{i // KILLS_OF_A_FILE}.jsonl"
            files = files_of(db)
            before = [lines_of(file) for file in files]
            began = time.monotonic()
            waits = i % EVERY_NET == EVERY_NET - 1
            in_net = functools.partial(times_nets, temporary, set(temporary.iterdir())) if waits else None
            process = start(resnetc, db, temporary, WHOLE_NET if in_net else ("--budget", "4s"))
            alive, seen = kill_once(rng, process, files, duration, in_net)
            killed += alive
            in_nets += alive and in_net is not None
            if not alive and not in_net:  # shorter than the first run, which shared the machine
                duration = min(duration, time.monotonic() - began)
            wait_until(lambda: not processes_in(folder), 20)
            check(not processes_in(folder), f"kill {i}: still running:", *processes_in(folder))
            for file, old in zip(files, before):
                check(lines_of(file)[: len(old)] == old, f"kill {i}: {file.name} lost a line")
            for now, old in zip(bytes_of(files), seen):
                check(now.startswith(old), f"kill {i}: what was written just before is lost:", old[-300:])
            check(len(os.listdir(temporary)) <= 2, f"kill {i}: folders pile up:", os.listdir(temporary))
            if killed > i and (killed % KILLS_OF_A_FILE == 0 or killed == count):
                finish(resnetc, files, temporary)
                judge(resnetc, files, temporary)
                records += len(lines_of(db))
        left = {path.name for path in folder.iterdir() if not path.name.endswith(".jsonl")} - {"tmp"}
        check(not left, "left behind:", left)
    print(f"{killed} runs were killed, {in_nets} of them while the whole net was timed; "
          f"all {records} records are there, every line whole, nothing left behind")


main()
