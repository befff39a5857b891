#!/usr/bin/env python3
"""`resnetc tune` on a small net: records that compile uses, resuming, bad lines, an interruption, two tuners at once.
tune_limits_test.py has what hangs, eats memory or has no time; kill_tuner.py kills it; install_test.py has Halide's
autoschedulers as baselines."""

import json
import re
import shutil
import signal
import subprocess
import time

from support import check, resnetc, run, temporary_folder
from tuning import lines, model, trials, tune


def tune_whole_net(db, *more, says="after tuning (2 threads, batch 1"):
    """With more and more time until some is left for the whole net: other work may keep the machine busy."""
    for budget in ("15s", "30s", "60s", "120s"):
        said = tune(db, "--budget", budget, *more).stderr
        if says in said:
            return said
    check(False, "the whole net was not timed:", said)


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
    said = tune_whole_net(killed, "--kernels", "|".join(f"^{key}$" for key in left))
    last = {record["key"]: record for record in lines(killed)}
    check(set(last) == left and not any(r.get("provisional") for r in last.values()), said, last)


def check_defaults(folder, db):
    """Where records stand, whole nets are timed with the default choices too, and slow records do not stay."""
    slowest = {}
    for trial in trials(db):
        if trial["milliseconds"] > slowest.get(trial["key"], {"milliseconds": 0})["milliseconds"]:
            slowest[trial["key"]] = {name: value for name, value in trial.items() if name != "second"}
    slow = folder / "slow.jsonl"
    slow.write_text("".join(json.dumps(record) + "\n" for record in slowest.values()))
    said = tune_whole_net(slow, says="ms with the default choices")
    check("before against after and defaults" in said, said)
    last = {record["key"]: record for record in lines(slow)}
    check(not any(record.get("provisional") for record in last.values()), said, last)
    check(any(words(last[key]) != words(slowest[key]) for key in slowest), "the slowest choices stay:", said)


def check_hot_and_cold(folder, db):
    """A small net's weights stay in the cache: of two records the one that was timed so counts."""
    hot = {t["key"]: t for t in trials(db) if t["milliseconds"] > 0}
    cold = next(t for t in trials(db) if t["milliseconds"] > 0 and words(t) != words(hot[t["key"]]))
    hot = hot[cold["key"]]
    for order in ((0, 1), (1, 0)):
        pair = [json.dumps({**hot, "weights": "hot"}), json.dumps({**cold, "weights": "cold"})]
        both = folder / "both.jsonl"
        both.write_text("".join(pair[i] + "\n" for i in order))
        out = folder / "out"
        run(resnetc(), "compile", model, "-w", "random:1", "-o", out, "--db", both, "--emit", "ir", "--threads", 2)
        kernels = json.loads((out / "report.json").read_text())["kernels"]
        used = next(k for k in kernels if k["key"] == cold["key"])
        check((used["record"], used["parameters"]) == (both.name, hot["parameters"]), used, "is not", hot)


def check_wrong_results(folder):
    """Candidates whose code is another's, which reads weights that are packed otherwise: refused, never a record."""
    kernel, cache, db = "conv2d_i8x8x32b1_w32x3x3x32_w32_i", folder / "cache", folder / "wrong.jsonl"
    for budget in ("6s", "15s", "60s"):
        options = ["--kernels", f"^{kernel}", "--winograd", "off", "--cache", cache, "--budget", budget]
        tune(folder / "right.jsonl", *options)
        objects = [path for path in sorted(cache.rglob("*")) if path.is_file() and kernel.encode() in path.read_bytes()]
        contents = [path.read_bytes() for path in objects]
        if len(set(contents)) >= 8:
            break
    check(len(set(contents)) >= 8, objects)
    for path, other in zip(objects, contents[1:] + contents[:1]):
        path.write_bytes(other)
    for budget in ("6s", "30s", "120s"):
        said = tune(db, *options[:-1], budget).stderr
        failed = {words(t): t["failure"] for t in trials(db) if "failure" in t}
        if any("wrong result" in failure for failure in failed.values()):
            break
    check(any("wrong result" in failure for failure in failed.values()), said, trials(db))
    check(all("temporary" not in t for t in trials(db) if "wrong result" in t.get("failure", "")), trials(db))
    check(not any(words(record) in failed for record in lines(db)), said, failed, lines(db))


def check_full_disk(folder):
    """What failed for lack of room is no candidate's fault: the next run tries it all."""
    db, kernel = folder / "full.jsonl", "^conv2d_i8x8x32b1_w32x3x3x32_w32_i"
    command = [resnetc(), "tune", model, "--db", db, "--threads", 2, "--kernels", kernel, "--budget", "10s"]
    said = run("bash", "-c", 'ulimit -f 4; exec "$0" "$@"', *command, status=1).stderr
    check("left for another run" in said and "no kernel could be timed: " in said, said)
    check(not lines(db) and not trials(db), said, trials(db))
    said = tune(db, "--kernels", kernel, "--budget", "6s").stderr
    check(lines(db) and all(t["milliseconds"] > 0 for t in trials(db)), said, trials(db))


def check_lost_records(folder, db):
    """Trials without records say nothing of what is best: all is tried anew."""
    lost, kernel = folder / "lost.jsonl", "^conv2d_i8x8x32b1_w32x3x3x32_w32_i"
    shutil.copy(db.with_suffix(".trials.jsonl"), lost.with_suffix(".trials.jsonl"))
    earlier = [words(t) for t in trials(lost)]
    for budget in ("6s", "20s", "60s"):
        said = tune(lost, "--kernels", kernel, "--budget", budget).stderr
        again = [words(t) for t in trials(lost)[len(earlier) :]]
        if len({w for w in again if w in earlier}) > 3:
            break
    check(len({w for w in again if w in earlier}) > 3, "what was tried is not tried again:", said, again)
    check(lines(lost), said)


def main():
    with temporary_folder() as folder:
        db, page = folder / "records.jsonl", folder / "report.html"
        tune_whole_net(db, "--report", page)
        records = lines(db)
        check(records and all(r["threads"] == 2 and r["batch"] == 1 and r["milliseconds"] > 0 for r in records), records)
        check_compile(folder, db, {r["key"] for r in records})
        text = page.read_text()
        check(all(r["key"] in text for r in records), "the report lacks a key")
        check("http" not in text.replace("http://www.w3.org", ""), "the report loads something")

        check_provisional(folder, db)
        check_defaults(folder, db)
        check_hot_and_cold(folder, db)
        check_wrong_results(folder)
        check_full_disk(folder)
        check_lost_records(folder, db)
        said = tune(db, "--budget", "15s", "--report", folder / "none" / "report.html", status=1).stderr
        check("none" in said and "tuning for" not in said, "a report that cannot be written", said)

        # A second run goes on where the first ended: nothing is tried twice but what is compared with, of each kernel
        # the best, the default and what stood before.
        earlier = trials(db)
        first = {words(t) for t in earlier if "temporary" not in t}
        before = db.read_text()
        tune(db, "--budget", "6s")
        best = {words(r) for r in lines(db)}
        known = [words(t) for t in trials(db)][len(earlier) :]
        again = {w for w in known if w in first and w not in best}
        for key, *_ in again:
            check(sum(w[0] == key for w in again) <= 2, "tried again:", again)
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

        # What it has found so far is used while it runs. Interrupted, it says so, keeps that and writes the report of it.
        shared, page = folder / "shared" / "records.jsonl", folder / "interrupted.html"
        command = [resnetc(), "tune", str(model), "--db", str(shared), "--report", str(page), "--budget", "60s"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not lines(shared) and process.poll() is None:
            time.sleep(0.05)
        run(*compiling, shared)
        used = json.loads((folder / "out" / "report.json").read_text())["kernels"]
        check(any((k["record"] or "").startswith(shared.name) for k in used), used)
        check(process.poll() is None, "it ended before it was interrupted")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        check(process.returncode == 1 and said.endswith("resnetc: interrupted\n"), process.returncode, said)
        complete = shared.read_text().splitlines()
        check(complete and all(json.loads(line) for line in complete), complete)
        count = len({record["key"] for record in lines(shared)})
        check(f"{count} record{'s' * (count > 1)} in {shared}, " in said and f"{page}: written" in said, said)
        check(lines(shared)[0]["key"] in page.read_text(), "the report lacks a key")

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
        check("--winograd" in tune(folder / "none", "--winograd", "f3", status=2).stderr, "f3 is taken")
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
