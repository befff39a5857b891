#!/usr/bin/env python3
"""`resnetc tune` on a small net: records that compile uses, resuming, bad lines, an interruption, two tuners at once.
kill_tuner.py kills it; install_test.py has Halide's autoschedulers as baselines."""

import json
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


def check_provisional(folder, db):
    """A run that is killed before whole nets are timed leaves provisional records; the next confirms or drops them."""
    last = {record["key"]: record for record in lines(db)}
    check(not any(record.get("provisional") for record in last.values()), "neither confirmed nor dropped:", last)
    # What this run won, and of one kernel any other choice that it timed: the defaults may be the best.
    provisional = [record for record in lines(db) if record.get("provisional")]
    some = next(iter(last.values()))
    others = [t for t in trials(db) if t["key"] == some["key"] and t["milliseconds"] > 0 and words(t) != words(some)]
    check(others, "one choice was timed:", trials(db))
    provisional.append({**some, **{name: others[-1][name] for name in ("strategy", "parameters", "strategy_version")},
                        "provisional": True})
    killed = folder / "killed.jsonl"
    killed.write_text("".join(json.dumps(record) + "\n" for record in provisional))
    left = {record["key"] for record in provisional}
    said = tune(killed, "--budget", "15s", "--kernels", "|".join(f"^{key}$" for key in left)).stderr
    last = {record["key"]: record for record in lines(killed)}
    check(set(last) == left and not any(r.get("provisional") for r in last.values()), said, last)


def check_budget(folder):
    """Many nets that cannot all be timed within the budget."""
    start = time.monotonic()
    said = tune(folder / "many.jsonl", *[model] * 6, "--budget", "6s").stderr
    check(time.monotonic() - start < 20, "a budget of 6 s took", time.monotonic() - start, said)
    check("no time left to time the whole net" in said, said)


def main():
    with temporary_folder() as folder:
        db, page = folder / "records.jsonl", folder / "report.html"
        start = time.monotonic()
        said = tune(db, "--budget", "15s", "--report", page).stderr
        check(time.monotonic() - start < 30, "a budget of 15 s took", time.monotonic() - start)
        check(re.search(r"after tuning \(2 threads, batch 1[;)]", said), said)
        records = lines(db)
        check(records and all((r["threads"], r["batch"]) == (2, 1) and r["milliseconds"] > 0 for r in records), records)
        check_compile(folder, db, {r["key"] for r in records})
        text = page.read_text()
        check(all(r["key"] in text for r in records), "the report lacks a key")
        check("http" not in text.replace("http://www.w3.org", ""), "the report loads something")

        check_provisional(folder, db)
        check_budget(folder)
        start = time.monotonic()
        said = tune(db, "--budget", "15s", "--report", folder / "none" / "report.html", status=1).stderr
        check("none" in said and time.monotonic() - start < 5, "a report that cannot be written", said)

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
        compiling = resnetc(), "compile", model, "-w", "random:1", "-o", folder / "out", "--emit", "ir", "--db"
        said = run(*compiling, db).stderr
        check(said.count("the line is skipped") == 2, said, number)

        # What is of no use is named once for each reason; what is of another version only where one asks.
        some, useless = json.loads(before.splitlines()[0]), folder / "useless.jsonl"
        no_key, magic, old = {"key": "conv3d_f32"}, {"strategy": "conv2d_magic"}, {"halide": "1.0.0"}
        wrong = [{**some, **change} for change in (no_key, no_key, magic, old)]
        useless.write_text("".join(json.dumps(record) + "\n" for record in wrong))
        said, verbose = run(*compiling, useless).stderr, run(*compiling, useless, "-v").stderr
        check(f"{useless}:1: key 'conv3d_f32'" in said and "2 such lines are not used" in said, said)
        check(f"{useless}:3: strategy 'conv2d_magic'" in said and said.count(f"{useless}:") == 2, said)
        check(f"{useless}:4: of Halide '1.0.0'" in verbose and verbose.count(f"{useless}:") == 3, verbose)

        # Interrupted, it says so and keeps what it found.
        shared = folder / "shared" / "records.jsonl"
        command = [resnetc(), "tune", str(model), "--db", str(shared), "--budget", "60s"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not lines(shared) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        check(process.returncode == 1 and said.endswith("resnetc: interrupted\n"), process.returncode, said)
        complete = shared.read_text().splitlines()
        check(complete and all(json.loads(line) for line in complete), complete)

        # Two tuners on one file.
        pair = [
            subprocess.Popen(
                [*command[:-1], "6s"],
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for process in pair:
            _, said = process.communicate(timeout=120)
            check(process.returncode == 0 and "skipped" not in said, said)
        now = shared.read_text().splitlines()
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
    print("records are used, resumed, kept")


main()
