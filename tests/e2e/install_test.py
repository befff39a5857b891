#!/usr/bin/env python3
"""The installed tree, moved elsewhere, compiles a model with only PATH set: install_test.py BUILD_FOLDER CMAKE"""

import json
import re
import shutil
import sys

from support import check, environment, root, run, temporary_folder


def main():
    build, cmake = sys.argv[1:3]
    with temporary_folder() as folder:
        run(cmake, "--install", build, "--prefix", folder / "first")
        (folder / "first").rename(folder / "tree")
        tree = folder / "tree"
        resnetc = tree / "bin" / "resnetc"
        models = tree / "share" / "resnetc" / "models"
        for path in ("LICENSE", "README.md", "docs/topology.md", "LICENSE.Halide.txt"):
            check((tree / "share" / "doc" / "resnetc" / path).is_file(), f"{path} is not installed")
        paths = re.findall(r"R(?:UN)?PATH.*\[(.*)\]", run("readelf", "-d", resnetc).stdout)
        check(paths == ["$ORIGIN/../lib/resnetc"], "run path:", paths)
        libraries = run("ldd", resnetc, env=environment()).stdout
        check(str(tree / "bin/../lib/resnetc/libHalide.so") in libraries, libraries)

        bare = {"cwd": folder, "env": environment()}
        print(run(resnetc, "version", **bare).stdout, end="")
        digits = [models / "digits_resnet8.json", "-w", models / "digits_resnet8.safetensors"]
        run(resnetc, "compile", *digits, "--emit", "exe,static,shared,header,ir,driver", **bare)
        out = folder / "generated" / "digits_resnet8"
        print(run(out / "digits_resnet8", "--self-test", **bare).stdout, end="")
        answer = run(out / "digits_resnet8", models / "demo" / "digits" / "7_0560.png", "--top", 1, **bare).stdout
        check(re.search(r" 7$", answer, re.MULTILINE), answer)

        # The driver that is emitted compiles against the installed headers.
        headers = ["-I", tree / "lib" / "resnetc" / "include"]
        run("cc", "-std=c11", "-Wall", "-Wextra", *headers, "-c", out / "digits_resnet8.c", "-o", folder / "driver.o")
        names = sorted(path.name for path in folder.iterdir())
        check(names == ["driver.o", "generated", "tree"], "files elsewhere:", names)
        # A link to the program finds its tree.
        (folder / "link").symlink_to(resnetc)
        shutil.rmtree(folder / "generated")
        run(folder / "link", "compile", *digits, "--emit", "exe", **bare)

        for name in ("mullapudi2016", "adams2019", "li2018", "anderson2021"):
            check((tree / "lib" / "resnetc" / f"libautoschedule_{name}.so").is_file(), name, "is not installed")

        # The installed tree tunes, Halide's autoschedulers included, and compiles with what it found.
        at_home = {"cwd": folder, "env": environment(XDG_DATA_HOME=folder / "data")}
        kernel = "conv2d_i16x16x16b1_w32x1x1x16_w32_to_i8x8x32_stride2_f32"
        tune = resnetc, "tune", digits[0], "--kernels", f"^{kernel}$", "--baseline", "--threads", 2, "--budget"
        baselines = "halide_mullapudi2016", "halide_adams2019", "halide_li2018"
        for budget in ("24s", "60s", "180s"):  # what one run leaves out the next one measures
            run(*tune, budget, **at_home)
            trials, records = sorted((folder / "data" / "resnetc" / "tuned").iterdir(), key=lambda path: -len(path.name))
            times = {t["strategy"]: t["milliseconds"] for t in map(json.loads, trials.read_text().splitlines())}
            if set(baselines) <= set(times):
                break
        check(re.fullmatch(r"[a-z0-9-]+-(sse41|avx\w*)\.jsonl", records.name), records)
        for name in baselines:
            check(times.get(name, 0) > 0, name, "was not timed:", trials.read_text())
        check("halide_" not in records.read_text(), "a baseline became a record")
        ratios = {t["strategy"]: t["ratio"] for t in map(json.loads, trials.read_text().splitlines()) if "ratio" in t}
        check(len(ratios) == 3 and min(ratios.values()) > 0, ratios)
        said = run(resnetc, "compile", *digits, "--emit", "ir", "--threads", 2, "-v", **at_home).stderr
        check(re.search(rf"^{kernel}: conv2d_direct .*\(own {records.name}\)$", said, re.MULTILINE), said)
        check(f"1 kernels: own {records.name}\n" in said, said)

        # A file of records is copied into a tree to ship it.
        shipped = tree / "lib" / "resnetc" / "tuned"
        shipped.mkdir(exist_ok=True)
        shutil.copy(records, shipped / "here.jsonl")
        run(resnetc, "compile", *digits, "--emit", "ir", "--threads", 2, **bare)
        report = json.loads((out / "report.json").read_text())
        check([k["record"] for k in report["kernels"] if k["key"] == kernel] == ["shipped here.jsonl"], report)
        check(report["records"]["shipped here.jsonl"] >= 1, report["records"])
    check((root / "models").is_dir(), "the source tree is gone")


main()
