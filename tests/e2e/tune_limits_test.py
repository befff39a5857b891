#!/usr/bin/env python3
"""`resnetc tune` keeps its budget where candidates or whole nets hang or take all memory, where nets are many, and where
another has the machine."""

import fcntl
import os
import pathlib
import re
import shutil
import time

from support import check, resnetc, run, temporary_folder
from tuning import lines, model, trials, tune


def check_hangs(folder):
    """Candidates that hang, here when they are loaded, cost one limit together: the first leaves the others some time,
    and when all but the best do, the budget is kept."""
    kernel, tools = "^conv2d_i8x8x32b1_w32x3x3x32_w32_i", folder / "tools"
    tools.mkdir()
    (tools / "hang.c").write_text("__attribute__((constructor)) static void hang(void) { for (;;) __builtin_ia32_pause(); }")
    run("cc", "-c", "-fPIC", "-o", tools / "hang.o", tools / "hang.c")
    for hanging in ("1.so", "[1-9].so"):
        ld = tools / "ld"
        ld.write_text(f'#!/bin/sh\ncase "$3" in {hanging}) set -- "$@" {tools}/hang.o;; esac\nexec {shutil.which("ld")} "$@"\n')
        ld.chmod(0o755)
        db, start = folder / f"hang{len(hanging)}.jsonl", time.monotonic()
        command = [resnetc(), "tune", model, "--db", db, "--threads", 2, "--kernels", kernel, "--budget", "16s"]
        # Of the second nothing may be timed: the others take what time there is.
        status = 0 if hanging == "1.so" else None
        said = run("env", f"PATH={tools}:{os.environ['PATH']}", *command, status=status).stderr
        check(time.monotonic() - start < 26, "a budget of 16 s took", time.monotonic() - start, said)
        if hanging == "1.so":
            hung = [t for t in trials(db) if "took longer" in t.get("failure", "")]
            check(hung and all(t["temporary"] for t in hung), said, trials(db))
            check(lines(db) and any(t["milliseconds"] > 0 for t in trials(db)), said, trials(db))


def check_hungry(folder):
    """A candidate that takes memory without end, here when it is loaded, meets its limit; the others are timed without it."""
    kernel, tools, db = "^conv2d_i8x8x32b1_w32x3x3x32_w32_i", folder / "hungry", folder / "hungry.jsonl"
    tools.mkdir()
    (tools / "eat.c").write_text("""#include <stdlib.h>
#include <sys/mman.h>
__attribute__((constructor)) static void eat(void) {
  for (int gib = 0; gib < 256; gib++)  // which it does not touch: where there is no limit they are to be had
    if (mmap(0, 1ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) abort();
}
""")
    run("cc", "-c", "-fPIC", "-o", tools / "eat.o", tools / "eat.c")
    ld = tools / "ld"
    ld.write_text(f'#!/bin/sh\ntest "$3" = 1.so && set -- "$@" {tools}/eat.o\nexec {shutil.which("ld")} "$@"\n')
    ld.chmod(0o755)
    command = [resnetc(), "tune", model, "--db", db, "--threads", 2, "--kernels", kernel, "--budget"]
    for budget in ("8s", "30s", "120s"):
        said = run("env", f"PATH={tools}:{os.environ['PATH']}", *command, budget, status=None).stderr
        if lines(db):
            break
    check(any("status 134" in t.get("failure", "") for t in trials(db)), said, trials(db))
    check(any(t["milliseconds"] > 0 for t in trials(db)) and lines(db), said, trials(db))


def check_hanging_net(folder):
    """A whole net that hangs, here before it begins, is given half of the budget that is left, and a second try where
    other work leaves time for it."""
    kernel, tools = "^conv2d_i8x8x32b1_w32x3x3x32_w32_i", folder / "tools"
    (tools / "ld").unlink()
    linker = tools / "c++"
    linker.write_text(f'#!/bin/sh\nmkdir {tools}/once 2> /dev/null && set -- "$@" {tools}/hang.o\nexec {shutil.which("c++")} "$@"\n')
    linker.chmod(0o755)
    for budget in (40, 80, 160):
        db, start = folder / f"hanging_net{budget}.jsonl", time.monotonic()
        command = [resnetc(), "tune", model, "--db", db, "--threads", 2, "--kernels", kernel, "--budget", f"{budget}s"]
        said = run("env", f"PATH={tools}:{os.environ['PATH']}", *command).stderr
        check(time.monotonic() - start < budget + 10, f"a budget of {budget} s took", time.monotonic() - start, said)
        check(re.search("cannot be timed as a whole: .* was stopped; its threads: R after", said), said)
        if "after tuning" in said:
            break
        (tools / "once").rmdir()
    check("timing the whole net again" in said and "after tuning" in said, said)


def check_busy_machine(folder):
    """Where another has the machine, it says whom it waits for, and no longer than its budget lasts."""
    lock = pathlib.Path("/tmp/resnetc-tune.lock")
    if not lock.exists():
        lock.touch(0o644)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        start = time.monotonic()
        said = tune(folder / "busy.jsonl", "--budget", "6s", "--report", folder / "busy.html", status=1).stderr
        check(time.monotonic() - start < 40, "a budget of 6 s took", time.monotonic() - start, said)
        check(said.count("waiting for ") == 1 and f"process {os.getpid()} (" in said, said)
        check(said.endswith("has the machine\n") and "no kernel could be timed: " in said, said)
        check(not lines(folder / "busy.jsonl"), said)


def check_budget(folder):
    """Many nets that cannot all be timed within the budget, which takes more than twice the time allowed."""
    start = time.monotonic()
    said = tune(folder / "many.jsonl", *[model] * 16, "--budget", "6s").stderr
    check(time.monotonic() - start < 40, "a budget of 6 s took", time.monotonic() - start, said)
    check("no time left to time the whole net" in said, said)


def main():
    with temporary_folder() as folder:
        check_hangs(folder)
        check_hanging_net(folder)
        check_hungry(folder)
        check_budget(folder)
        check_busy_machine(folder)
    print("budgets are kept")


main()
