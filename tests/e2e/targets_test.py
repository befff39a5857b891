#!/usr/bin/env python3
"""Binaries for other CPUs than this one: one that needs more says so, one that needs less computes the same."""

import pathlib
import re

import numpy as np
from support import check, check_close, compile_digits, root, run, temporary_folder

data = root / "tests" / "data" / "digits"
c11 = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror"]

# Targets from the least to the most, with the flags in /proc/cpuinfo of the last feature that each adds.
levels = {
    "x86-64-linux-sse41": ["sse4_1"],
    "x86-64-linux-avx": ["avx"],
    "x86-64-linux-avx2-fma-f16c": ["avx2", "fma", "f16c"],
    "x86-64-linux-avx512_skylake": ["avx512f", "avx512cd", "avx512vl", "avx512bw", "avx512dq"],
    "x86-64-linux-avx512_cannonlake": ["avx512ifma", "avx512vbmi"],
    "x86-64-linux-avx512_zen4": ["avx512_bf16", "avx512_vnni", "avx512_bitalg", "avx512_vbmi2", "avx512_vpopcntdq"],
    "x86-64-linux-avx512_zen5": ["avx512_vp2intersect", "avx_vnni"],
}

# What a binary for a target must not contain.
too_wide = {
    "x86-64-linux-sse41": r"%[yz]mm|\bvmov",
    "x86-64-linux-avx": r"%zmm|vfmadd",
    "x86-64-linux-avx2-fma-f16c": r"%zmm",
}

library_user = r"""
#include <stdio.h>
#include "digits_resnet8.h"
int main(void) {
  static float input[256], output[10];
  digits_resnet8_model* model = NULL;
  const int created = digits_resnet8_create(&model, NULL);
  if (!model) return 3;
  printf("%s\n", digits_resnet8_message(model));
  const int ran = digits_resnet8_run(model, input, 1, output);
  digits_resnet8_destroy(model);
  return created != 0 && ran != 0 ? 0 : 4;
}
"""


def split_levels():
    """(targets that this CPU can run, targets that it lacks)"""
    line = next(line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    flags = set(line.split())
    can, lacks = [], []
    for target, needed in levels.items():
        (lacks if lacks or not flags.issuperset(needed) else can).append(target)
    return can, lacks


def check_runs(target, folder):
    out = folder / target
    compile_digits(out, "--target", target, "--emit", "exe,shared")
    program = out / "digits_resnet8"
    run(program, data, "--output", folder / "y.npy", "--top", 0)
    check_close(target, np.load(folder / "y.npy"), np.load(data / "expected_logits.npy"))
    print(run(program, "--self-test").stdout, end="")
    if target in too_wide:
        code = run("objdump", "-d", "--no-show-raw-insn", out / "libdigits_resnet8.so").stdout
        found = re.search(rf"^.*({too_wide[target]}).*$", code, re.MULTILINE)
        check(not found, f"{target}: the library holds {found and found[0]}")


def check_refuses(target, folder):
    out = folder / target
    compile_digits(out, "--target", target, "--emit", "exe,static,header")
    program = out / "digits_resnet8"
    np.save(folder / "x.npy", np.zeros((1, 1, 16, 16), np.float32))
    uses = (["--self-test"], ["--benchmark", 0.1], ["--input", folder / "x.npy"], ["--json", min(data.glob("*.png"))])
    for arguments in uses:
        done = run(program, *arguments, status=1)
        check("this CPU lacks" in done.stderr and "--target" in done.stderr and done.stdout == "", done)
    print(f"{target}: {done.stderr.strip()}")
    for arguments in (["--help"], ["--licences"], ["--version"]):
        run(program, *arguments)

    (folder / "user.c").write_text(library_user)
    run(*c11, "-I", out, folder / "user.c", "-o", folder / "user", out / "libdigits_resnet8.a", "-lpthread", "-lm")
    check("this CPU lacks" in run(folder / "user").stdout, "the library does not say what the CPU lacks")


def main():
    can, lacks = split_levels()
    print(f"this CPU: {can[-1]}")
    with temporary_folder() as folder:
        for target in can:
            check_runs(target, folder)
        if not lacks:
            print("this CPU lacks nothing that a target can ask for: the refusal was not tried")
        for target in lacks[:1] + lacks[1:][-1:]:
            check_refuses(target, folder)


main()
