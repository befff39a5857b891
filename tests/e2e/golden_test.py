#!/usr/bin/env python3
"""generated/golden/: the readable part of what resnetc emits for two models and one fixed target, compiled again and
compared. UPDATE_GOLDEN=1 rewrites it; read the difference before you commit it."""

import difflib
import json
import os
import shutil

from support import check, compile_model, models, root, temporary_folder

golden = root / "generated" / "golden"
nets = {"digits_resnet8": models / "digits_resnet8.safetensors", "cifar10_resnet20": "random:1"}
fixed = ["--target", "x86-64-linux-avx2-fma-f16c", "--threads", 2, "--emit", "header,ir,driver"]


def without_times(text):
    report = json.loads(text)
    del report["seconds"]
    for kernel in report["kernels"]:
        del kernel["compile_seconds"], kernel["from_cache"]
    return json.dumps(report, indent=2) + "\n"


def main():
    update = os.environ.get("UPDATE_GOLDEN") == "1"
    different = []
    with temporary_folder() as folder:
        for net, weights in nets.items():
            compile_model(net, weights, folder / net, *fixed)
            report = folder / net / "report.json"
            report.write_text(without_times(report.read_text()))
            if update:
                shutil.rmtree(golden / net, ignore_errors=True)
                shutil.copytree(folder / net, golden / net)
                print(f"{golden / net}: written anew")
        for old, new in ((golden, folder), (folder, golden)):
            for path in sorted(path for path in old.rglob("*") if path.is_file()):
                name = path.relative_to(old)
                if not (new / name).exists():
                    print(f"{name}: only in {old}")
                    different.append(name)
                elif old == golden and path.read_bytes() != (new / name).read_bytes():
                    lines = [(side / name).read_text().splitlines() for side in (golden, folder)]
                    print("\n".join(list(difflib.unified_diff(*lines, f"golden/{name}", "now", lineterm="", n=1))[:60]))
                    different.append(name)
        count = sum(path.is_file() for path in folder.rglob("*"))
    check(not different, f"{len(different)} files differ; if that is meant: UPDATE_GOLDEN=1 scripts/test -R golden")
    print(f"{count} files equal those in generated/golden")


main()
