#!/usr/bin/env python3
"""`resnetc tune` for an OpenCL device, PoCL where there is no other: records that compile uses, candidates that the driver
cannot compile, that compute something else or end the process, and errors."""

import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil

from support import check, environment, resnetc, run, skip, temporary_folder
from tuning import lines, model, trials

kernel = "^dense"
target = ("--target", "host-opencl")


def tune(db, *more, on=target, budget="20s", status=0, **options):
    return run(resnetc(), "tune", model, *on, "--db", db, "--budget", budget, *more, status=status, **options)


def compiled(folder, *more):
    """The kernels of report.json that were tuned, and the folder."""
    out = folder / "out"
    run(resnetc(), "compile", model, "-w", "random:1", "-o", out, "--emit", "exe", *more)
    kernels = json.loads((out / "report.json").read_text())["kernels"]
    return [k for k in kernels if re.match(kernel, k["key"])][0], out


def check_records(folder, cache):
    """Tunes, compiles with the records, and fills the cache."""
    db, page = folder / "records.jsonl", folder / "report.html"
    for budget in ("20s", "60s", "180s"):  # a busy machine may leave no time for whole nets
        said = tune(db, "--kernels", kernel, "--batch", 7, "--report", page, *cache, budget=budget).stderr
        if "after tuning" in said:
            break
    print(said.strip().splitlines()[-2])
    check(re.search(r"digits_resnet8: [\d.]+ ms before, [\d.]+ ms after tuning \(.+, batch 7\)", said), said)
    tried = trials(db)
    check(len(tried) >= 4 and all("failure" not in t for t in tried), tried)
    records = lines(db)
    check(records and all(re.match(kernel, r["key"]) and r["milliseconds"] > 0 for r in records), records)
    check(all((r["threads"], r["batch"], r["target"]) == (1, 7, "x86-64-linux-opencl-sse41") for r in records), records)
    check(all(r["device"] in said and "cpu" not in r for r in records), records)
    at_most = re.search(r"(\d+) multiprocessors, blocks of (\d+) threads and (\d+) KiB", said).groups()
    check(all((r["gpu_multiprocessors"], r["gpu_threads"], r["gpu_shared_bytes"] // 1024) == tuple(map(int, at_most))
              for r in records), at_most, records)
    peak = float(re.search(r"measured peak ([\d.]+) GFLOP/s", said).group(1))
    for r in records + tried:
        check(0 < r["percent_of_peak"] < 150 and abs(r["gflops"] / r["percent_of_peak"] * 100 / peak - 1) < 0.1, peak, r)
    check(records[-1]["device"] in page.read_text(), "the report does not name the device")
    # Of so small a kernel it may be below 1.
    check(re.search(r"<td>\d+ %</td>", page.read_text()), "the report has no percent of the peak")

    last = records[-1]
    used, out = compiled(folder, *target, "--db", db, "--batch", 7)
    check((used["record"], used["parameters"]) == (db.name, last["parameters"]), used, last)
    check("self-test passed" in run(out / "digits_resnet8", "--self-test", "--batch", 7).stdout, "--self-test")
    used, _ = compiled(folder, *target, "--db", db)
    check(used["record"] == f"{db.name} (batch 7)", used)
    used, _ = compiled(folder, "--db", db)
    check(used["strategy"] == "dense", "the CPU's kernel is", used)

    # Its choice is no candidate: it stays unused. What is no record at all is named.
    wrong = folder / "wrong.jsonl"
    wrong.write_text(json.dumps({**last, "parameters": {"outputs": 77, "slices": 8}}) + '\n{"key": 7}\n')
    used, _ = compiled(folder, *target, "--db", wrong)
    check(used["record"] is None, used)
    check("the line is skipped" in tune(wrong, "--kernels", kernel, *cache).stderr, "a bad line")
    check(lines(folder / "wrong.trials.jsonl"), "nothing is tried where a record cannot be used")


def damaged(data, old, new):
    """An object of the cache with other code for the device, as long as it was."""
    contents = data.split(b"\n", 1)[1]
    scratch = data.split(b"\n", 1)[0].split(b" ")[-2]
    at = contents.rindex(old)
    contents = contents[:at] + new.ljust(len(old)) + contents[at + len(old) :]
    digest = hashlib.sha256(scratch + contents).hexdigest().encode()
    return b" ".join(data.split(b"\n", 1)[0].split(b" ")[:-1] + [digest]) + b"\n" + contents


def dense_objects(cache):
    objects = [path for path in sorted(cache.rglob("*")) if path.is_file() and b"\0dense_i" in path.read_bytes()]
    check(len(objects) >= 5, objects)
    return objects


def check_middle(folder, cache):
    """Code that leaves out images 3 to 5 of nine, which are neither the first nor the last that are checked."""
    macro = b"#define get_group_id(d) (get_group_id(d) / 3 == 1 ? 0 : get_group_id(d))"
    for path in dense_objects(cache):
        data = path.read_bytes()
        path.write_bytes(damaged(data, re.search(rb"/\*OpenCL C [^*]*\*/", data).group(), macro))
    db = folder / "middle.jsonl"
    said = tune(db, "--kernels", kernel, "--batch", 9, "--cache", cache, status=1).stderr
    check("no candidate runs: wrong result" in said and "no kernel could be timed" in said, said)
    failures = [t["failure"] for t in trials(db) if "failure" in t]
    print(len(failures), "of", len(trials(db)), *set(failures))
    check(any("wrong result: not all values are written" in failure for failure in failures), trials(db))


def check_wrong_net(folder, cache):
    """A net whose kernels, but for the one that is tuned, leave most of their results out is not timed."""
    objects = [path for path in sorted(cache.rglob("*")) if path.is_file() and b"\0conv2d_i" in path.read_bytes()]
    check(len(objects) >= 5, objects)
    for path in objects:
        data = path.read_bytes()
        path.write_bytes(damaged(data, re.search(rb"/\*OpenCL C [^*]*\*/", data).group(), b"#define get_group_id(d) 0"))
    for budget in ("20s", "60s", "180s"):  # a busy machine may leave no time for whole nets
        said = tune(folder / "net.jsonl", "--kernels", kernel, "--batch", 7, "--cache", cache, budget=budget).stderr
        if "cannot be timed" in said:
            break
    print(re.findall("digits_resnet8: cannot be timed.*", said)[0])
    check(re.search("cannot be timed as a whole: its kernels are right alone and wrong together: "
                    "digits_resnet8: self-test failed: ", said), said)
    check("after tuning" not in said, said)


def check_bad_candidates(folder, cache):
    """Each costs itself, and nothing else."""
    objects = dense_objects(cache)
    barrier = b"barrier(0 | CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);"
    harm = [(b"get_group_id(0)", b"get_group_id(9)"), (barrier, b"*(volatile __global int*)16 = 1;"),
            (b"__kernel void", b"__kernel viod")]
    for i, path in enumerate(objects):  # every fourth stays as it is
        if i % 4 < 3:
            path.write_bytes(damaged(path.read_bytes(), *harm[i % 4]))
    db = folder / "bad.jsonl"
    # The first to fail is measured twice, for which a busy machine may leave no time.
    for budget in ("20s", "40s", "120s"):
        said = tune(db, "--kernels", kernel, "--batch", 7, "--cache", cache, budget=budget, status=None).stderr
        if lines(db):
            break
    failures = [t["failure"] for t in trials(db) if "failure" in t]
    print("\n".join(failure[:150] for failure in failures))
    for expected in ("wrong result: not all values are written", "failed with status 139", "CL_BUILD_PROGRAM_FAILURE"):
        check(any(expected in failure for failure in failures), expected, "is not among", failures, said)
    check(any(t["milliseconds"] > 0 for t in trials(db)) and lines(db)[-1]["milliseconds"] > 0, trials(db))


def check_baselines(folder, cache):
    """Halide's autoschedulers for devices; a result with a border, which they must leave alone."""
    db, page = folder / "baselines.jsonl", folder / "baselines.html"
    conv = "^conv2d_i16x16x16b1_w16x3x3x16_w16_to_i16x16x16b1_padding1_relu_f32$"
    for budget in ("45s", "90s", "180s"):  # what one run leaves out the next one measures
        tune(db, "--kernels", conv, "--batch", 2, "--baseline", "--report", page, "--cache", cache, budget=budget)
        times = {t["strategy"]: t["milliseconds"] for t in trials(db) if t["strategy"].startswith("halide_")}
        if len(times) == 2:
            break
    print(times, "and", lines(db)[-1]["milliseconds"])
    check(set(times) == {"halide_li2018", "halide_anderson2021"} and all(times.values()), trials(db))
    check("halide_" not in db.read_text(), "a baseline became a record")
    check("halide_anderson2021" in page.read_text(), "the report has no baselines")


def check_busy_machine(folder, cache):
    """What the device can do at most is not measured beside another tuner, not even one that only compiles."""
    lock = pathlib.Path("/tmp/resnetc-tune.lock")
    if not lock.exists():
        lock.touch(0o644)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        said = tune(folder / "busy.jsonl", "--kernels", kernel, *cache, budget="4s", status=1).stderr
    check(f"process {os.getpid()} (" in said and said.endswith("has the machine\n"), said)
    check("measured peak" not in said and not lines(folder / "busy.jsonl"), said)


def check_errors(folder):
    def message(*arguments, **options):
        said = tune(folder / "none.jsonl", *arguments, status=1, **options).stderr
        check(said.count("\n") == 1, said)
        print(said.strip())
        return said

    check(re.search("there is no OpenCL device 9: there (is 1|are [2-9]): 0 .*GiB\n$", message("--device", 9)), "--device 9")
    check("--target host is for the CPU" in message("--device", 1, on=("--target", "host")), "--device for the CPU")
    (folder / "no_driver").mkdir()
    (folder / "no_driver" / "libOpenCL.so.1").write_text("no library\n")
    without = environment(LD_LIBRARY_PATH=folder / "no_driver", XDG_CACHE_HOME=folder / "xdg")
    check("no driver: libOpenCL.so.1 is not there" in message(env=without), "without a driver")
    listed = run(resnetc(), "targets", "--devices", env=without).stdout
    check(listed.startswith("host-opencl:\nnone: no driver: libOpenCL.so.1 is not there; "), listed)
    (folder / "no_driver" / "libcuda.so.1").write_text("no library\n")
    check("no driver: libcuda.so.1 is not there" in message(on=("--target", "host-cuda"), env=without), "without CUDA")
    check(not (folder / "none.jsonl").exists(), "a record without a device")


def main():
    with temporary_folder() as folder:
        probe = tune(folder / "probe.jsonl", "--kernels", "no such kernel", status=1).stderr
        if "matches --kernels" not in probe:
            skip(f"{probe.strip()}; scripts/setup --tests brings PoCL")
        check_records(folder, ("--cache", folder / "cache"))
        shutil.rmtree(folder / "out")
        for copy in ("middle", "net"):
            shutil.copytree(folder / "cache", folder / copy)
        check_wrong_net(folder, folder / "net")
        check_middle(folder, folder / "middle")
        check_bad_candidates(folder, folder / "cache")
        check_baselines(folder, folder / "cache")
        check_busy_machine(folder, ("--cache", folder / "cache"))
        check_errors(folder)


main()
