#!/usr/bin/env python3
"""What bench/gpu/pack makes of a build, unpacked elsewhere, runs with one command and no checkout, on PoCL where there
is no other OpenCL device: bench_bundle_test.py BUILD_FOLDER"""

import json
import os
import re
import sys

from support import check, environment, root, run, skip, temporary_folder


def main():
    with temporary_folder() as folder:
        bundle = folder / "bundle.tar.xz"
        quickly = {**os.environ, "XZ_OPT": "-0 -T2", "MOST_BYTES": str(1 << 30)}
        bundle.write_text("an older one")
        said = run(root / "bench" / "gpu" / "pack", sys.argv[1], bundle, env={**quickly, "MOST_BYTES": "1000"}, status=1).stderr
        check("bytes, more than 1000\n" in said and not bundle.exists(), said)
        run(root / "bench" / "gpu" / "pack", sys.argv[1], bundle, env=quickly)
        run("tar", "-xJf", bundle, cwd=folder)
        libraries = run("ldd", folder / "bundle" / "bin" / "resnetc", env=environment()).stdout
        for name in ("libHalide", "libfmt", "libcrypto"):
            check(f"{name}.so" in libraries and f"{folder}/bundle/bin/../lib/resnetc/{name}.so" in libraries, libraries)
        for needed_with_torch in ("bench/gpu/torch_resnet.py", "tests/tools/safetensors_file.py"):
            check((folder / "bundle" / needed_with_torch).exists(), needed_with_torch, "is not in the bundle")
        run(folder / "bundle" / "bench" / "gpu" / "run", "--help", cwd="/", env=environment())
        arguments = ("--target", "host-opencl", "--nets", "digits_resnet8", "--batches", 1, 2, "--tune", 12,
                     "--rounds", 1, "--seconds", "0.05", "--json", folder / "figures.json")
        home = environment(XDG_CACHE_HOME=folder / "cache", POCL_CACHE_DIR=folder / "pocl", TMPDIR=folder)
        home.pop("PATH")  # as `env -i` starts it
        done = run(folder / "bundle" / "bench" / "gpu" / "run", *arguments, cwd="/", env=home, status=None)
        if "OpenCL.so.1" in done.stderr:
            skip(f"{done.stderr.strip()}; scripts/setup --tests brings PoCL")
        print(done.stderr + done.stdout)
        check(done.returncode == 0 and "| digits_resnet8, 2 | " in done.stdout, done.returncode)
        # There is too little time for both, and the records of one serve the other.
        check(re.search(r"^batch 2: tuned for 12 s: \d+/10 kernels, [1-9]\d* of \d+ candidates tried$", done.stderr, re.M)
              and "batch 1: tuned" not in done.stderr, "what is tuned")
        cells = json.loads((folder / "figures.json").read_text())["cells"]
        check(len(cells) == 2 and all("self-test passed" in cell["checked"] for cell in cells), cells)
        alone, two = (cell["tuned"] for cell in cells)
        check(alone["kernels"] == two["kernels"] == 10 and alone["tuned"] == two["tuned"] > 0, cells)
        check((alone["for_other_batches"], two["for_other_batches"]) == (alone["tuned"], 0), cells)
        check(f"\ndigits_resnet8, batch 1: {alone['tuned']} of 10 kernels tuned, " in done.stderr, "what is said of it")


main()
