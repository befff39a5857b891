"""How long resnetc compiles: with an empty cache and a full one, for wide nets and against depth."""

import json
import re
import shutil
import statistics
import time

import nets
from process import Watch, output_of, say

NETS = ("resnet18", "resnet50", "resnet152")
DEPTHS = (20, 32, 44, 56, 110, 1202)
QUICK_DEPTHS = (20, 110, 1202)


def compile_once(resnetc, name, folder):
    start = time.perf_counter()
    output_of([resnetc, "compile", nets.ROOT / "models" / f"{name}.json", "--weights", "random:1",
               "--output", folder / "out", "--cache", folder / "cache"])
    return time.perf_counter() - start


def measure(resnetc, work, args):
    names = [*NETS, *(f"cifar10_resnet{depth}" for depth in (QUICK_DEPTHS if args.quick else DEPTHS))]
    rows = {name: {"model": name, "layers": int(re.search(r"resnet(\d+)$", name)[1]), "rounds": [], "others": 0.0}
            for name in names}
    for i in range(args.rounds):
        for name, row in rows.items():
            folder = work / "compile"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            watch = Watch()
            cold, warm = (compile_once(resnetc, name, folder) for _ in range(2))
            row["others"] = max(row["others"], watch.others())
            row["rounds"].append({"cold_s": cold, "warm_s": warm})
            row["kernels"] = len(json.loads((folder / "out" / "report.json").read_text())["kernels"])
            shutil.rmtree(folder)
            say(f"round {i + 1}, {name}: {cold:.2f} s cold, {warm:.2f} s warm")
    for row in rows.values():
        for kind in ("cold_s", "warm_s"):
            row[kind] = statistics.median(r[kind] for r in row["rounds"])
    return list(rows.values())
