#!/usr/bin/env python3
"""The same input gives the same bytes: whatever -j, the cache, the folders and the way that paths are written."""

import json
import os
import shutil

from support import check, contents, environment, models, resnetc, run, temporary_folder

everything = ["--emit", "exe,static,shared,header,ir,driver"]
names = ["digits_resnet8", "digits_resnet8.c", "digits_resnet8.h", "digits_resnet8.ir", "libdigits_resnet8.a"]
names += ["libdigits_resnet8.so", "report.json"]


def without_times(report):
    report.pop("seconds")
    for kernel in report["kernels"]:
        kernel.pop("compile_seconds")
        kernel.pop("from_cache")
    return report


def compile_in(folder, topology, weights, output, cache, *more):
    """Compiles in this working directory; the digests of what was written and the report without its times."""
    variables = environment(XDG_CACHE_HOME=cache, HOME=folder)
    run(resnetc(), "compile", topology, "-w", weights, "-o", output, *everything, *more, cwd=folder, env=variables)
    report = json.loads((folder / output / "report.json").read_text())
    hits = sum(kernel["from_cache"] for kernel in report["kernels"])
    digests = contents(folder / output)
    check(sorted(digests) == names, "files:", sorted(digests))
    check(
        report["files"]
        == {
            name: {"bytes": (folder / output / name).stat().st_size, "sha256": digests[name]}
            for name in names if name != "report.json"
        },
        "report.json does not tell the sizes and digests of the files",
    )  # fmt: skip
    del digests["report.json"]
    print(f"{output}: {hits} of {len(report['kernels'])} kernels from the cache")
    return digests, without_times(report), hits, len(report["kernels"])


def check_same(what, got, wanted):
    different = [name for name in wanted[0] if got[0][name] != wanted[0][name]]
    check(not different, f"{what}: other bytes in {', '.join(different)}")
    check(got[1] == wanted[1], f"{what}: another report")


def main():
    topology, weights = models / "digits_resnet8.json", models / "digits_resnet8.safetensors"
    with temporary_folder() as folder:
        deep = folder / "some where/deeper ü"
        deep.mkdir(parents=True)
        shutil.copytree(models, deep / "models")
        inside = "models/digits_resnet8.json", "models/digits_resnet8.safetensors"

        first = compile_in(folder, topology, weights, "first", folder / "cold", "-j", 1)
        check(first[2] == 0, "a cold cache had kernels")
        warm = compile_in(folder, topology, weights, "warm", folder / "cold", "-j", 2)
        check(warm[2] == warm[3], "a warm cache lacked kernels")
        check_same("warm cache, -j 2", warm, first)
        again = compile_in(folder, topology, weights, "out/of/the/way/", folder / "other", "-j", 2)
        check(again[2] == 0, "a cold cache had kernels")
        check_same("cold cache, -j 2", again, first)
        check_same("no cache", compile_in(folder, topology, weights, "no", folder / "other", "--no-cache"), first)
        check_same("copied models, relative paths", compile_in(deep, *inside, "o ut", folder / "cold"), first)
        check_same("over old files", compile_in(deep, *inside, "o ut", folder / "x"), first)
        relative = os.path.relpath(topology, deep), os.path.relpath(weights, deep)
        check_same("paths with ..", compile_in(deep, *relative, "../up", folder / "cold"), first)
        print("the same bytes seven times")


main()
