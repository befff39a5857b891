#!/usr/bin/env python3
"""`resnetc tune` on a small net: records that compile uses, resuming, bad lines, kills, two tuners at once, a full disk,
Halide's autoschedulers as baselines."""

import json
import os
import random
import re
import signal
import subprocess
import time

from support import check, models, resnetc, run, temporary_folder

model = models / "digits_resnet8.json"


def tune(db, *more, status=0):
    return run(resnetc(), "tune", model, "--db", db, "--threads", 2, *more, status=status)


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def trials(db):
    return lines(db.with_suffix(".trials.jsonl"))


def words(record):
    return record["key"], record["strategy"], json.dumps(record["parameters"])


def check_compile(folder, db, keys):
    out = folder / "out"
    run(resnetc(), "compile", model, "-w", "random:1", "-o", out, "--db", db, "--emit", "exe", "--threads", 2)
    report = json.loads((out / "report.json").read_text())
    used = {kernel["key"]: kernel["record"] for kernel in report["kernels"]}
    last = {record["key"]: record for record in lines(db)}
    for key in keys:
        check((used[key] or "").startswith(db.name), key, "is compiled from", used[key])
    for kernel in report["kernels"]:
        if used[kernel["key"]] == db.name and not last[kernel["key"]].get("dropped"):
            check(kernel["parameters"] == last[kernel["key"]]["parameters"], kernel, "is not", last[kernel["key"]])
    run(out / model.stem, "--self-test")


def main():
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    with temporary_folder() as folder:
        db, page = folder / "records.jsonl", folder / "report.html"
        start = time.monotonic()
        said = tune(db, "--budget", "8s", "--report", page).stderr
        check(time.monotonic() - start < 60, "a budget of 8 s took", time.monotonic() - start)
        check("after tuning (2 threads, batch 1)" in said, said)
        records = lines(db)
        check(records and all(r["threads"] == 2 and r["batch"] == 1 and r["milliseconds"] > 0 for r in records), records)
        check_compile(folder, db, {r["key"] for r in records})
        text = page.read_text()
        check(all(r["key"] in text for r in records), "the report lacks a key")
        check("http" not in text.replace("http://www.w3.org", ""), "the report loads something")

        # A second run goes on where the first ended: nothing is tried twice but what is compared with.
        first = {words(t) for t in trials(db)}
        before = db.read_text()
        tune(db, "--budget", "6s")
        best = {words(r) for r in lines(db)}
        known = len(trials(db)) and [words(t) for t in trials(db)][len(first) :]
        again = [w for w in known if w in first and w not in best]
        check(len(again) <= len(known) // 4, "tried again:", again[:3])
        check(db.read_text().startswith(before), "the file of records was rewritten")

        # Lines that are no records are named, and do no harm.
        with db.open("a") as file:
            file.write('{"key": 7}\n{"key": "conv2d')
        number = len(before.splitlines())
        said = tune(db, "--budget", "3s").stderr
        check("the line is skipped" in said and f"{db}:" in said, said)
        said = run(resnetc(), "compile", model, "-w", "random:1", "-o", folder / "out", "--db", db, "--emit", "ir").stderr
        check(said.count("the line is skipped") == 2, said, number)

        # Killed at any moment, it loses no finished record.
        killed = folder / "killed" / "records.jsonl"
        killed.parent.mkdir()
        complete = []
        for i in range(4):
            command = [resnetc(), "tune", model, "--db", killed, "--budget", "30s", "--threads", "2"]
            process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.5, 4))
            process.send_signal((signal.SIGKILL, signal.SIGTERM)[i % 2])
            process.wait(timeout=60)
            text = killed.read_text() if killed.exists() else ""
            now = text.split("\n")[:-1]
            check(now[: len(complete)] == complete, "a record is lost after kill", i)
            check(all(json.loads(line) for line in now), "a line that is no record")
            complete = now
        check(complete, "four interrupted runs left no record")

        # Two tuners on one file.
        pair = [
            subprocess.Popen(
                [resnetc(), "tune", str(model), "--db", str(killed), "--budget", "6s"],
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for process in pair:
            _, said = process.communicate(timeout=120)
            check(process.returncode == 0 and "skipped" not in said, said)
        now = killed.read_text().split("\n")[:-1]
        check(now[: len(complete)] == complete and all(json.loads(line) for line in now), "two tuners broke the file")

        said = tune("/dev/full", status=1).stderr
        check(said == "resnetc: /dev/full: not a file of records\n", said)
        tune(folder / "none", "--budget", "10", status=2)
        said = tune(folder / "none", "--kernels", "no such kernel", status=1).stderr
        check("matches --kernels no such kernel" in said, said)

        # Without Winograd tiles, none is tried, and the records say so.
        check("--winograd" in tune(folder / "none", "--winograd", "f5", status=2).stderr, "f5 is taken")
        direct = folder / "direct.jsonl"
        kernel = "^conv2d_i8x8x32b1_w32x3x3x32_w32_i"
        tune(direct, "--budget", "4s", "--winograd", "off", "--kernels", kernel)
        check({t["strategy"] for t in trials(direct)} == {"conv2d_direct"}, trials(direct))
        check([r["winograd"] for r in lines(direct)] == ["off"] * len(lines(direct)), lines(direct))
        options = ["--db", direct, "--emit", "ir", "--threads", 2]
        for limit, origin in (("off", direct.name), ("f4", f"{direct.name} (winograd off)")):
            run(resnetc(), "compile", model, "-w", "random:1", "-o", folder / "out", *options, "--winograd", limit)
            used = json.loads((folder / "out" / "report.json").read_text())["kernels"]
            check([k["record"] for k in used if re.match(kernel, k["key"])] == [origin], limit, used)

        # Halide's autoschedulers run on the same keys.
        baseline = folder / "baseline.jsonl"
        tune(baseline, "--budget", "24s", "--baseline", "--kernels", "^conv2d_i16x16x16b1_w32x1x1")
        times = {t["strategy"]: t["milliseconds"] for t in trials(baseline) if t["strategy"].startswith("halide_")}
        check(set(times) == {"halide_mullapudi2016", "halide_adams2019", "halide_li2018"}, times)
        check(all(ms > 0 for ms in times.values()), "a baseline did not run:", trials(baseline)[-3:])
        check(not any(r["strategy"].startswith("halide_") for r in lines(baseline)), "a baseline became a record")
    print("records are used, resumed, kept; baselines run")


main()
