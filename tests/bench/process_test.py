#!/usr/bin/env python3
"""bench/process.py: a process that hangs is ended in time, with what it started."""

import sys
import time

import bench_path  # noqa: F401
from process import Failed, output_of
from support import check


def check_hung(command, ended):
    start = time.perf_counter()
    try:
        output_of(command, seconds=0.5)
    except Failed as problem:
        check("no end after 0 s of " in str(problem), problem)
    else:
        check(False, command, "did not hang")
    check(0.4 < time.perf_counter() - start < ended, command, time.perf_counter() - start)


def main():
    check(output_of([sys.executable, "-c", "print('said')"], seconds=60) == "said\n", "its output")
    check_hung(["sleep", 30], 5)
    # Deaf to the request, and with a child that holds its pipes for longer.
    check_hung(["sh", "-c", "trap '' TERM; sleep 14 & while :; do sleep 1; done"], 13)
    try:
        output_of(["sh", "-c", "echo why >&2; exit 3"])
    except Failed as problem:
        check(str(problem).startswith("exit status 3 of sh") and str(problem).endswith("\nwhy"), problem)


main()
