#!/usr/bin/env python3
"""The emitted libraries: C and C++ programs that use them, what they export and import, two models in one program.

The sources are in library/. Each program must give the bits that the emitted program writes with --output.
"""

import json
import re

import numpy as np
from PIL import Image
from support import built, check, compile_model, models, root, run, temporary_folder

one = built("digits_resnet8")
sources = root / "tests" / "e2e" / "library"
c11 = ["cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]
libraries = ["-lpthread", "-lm"]

# All that the runtime may ask of libc, libpthread and libm; a new name here is a decision.
imports = set(
    "_GLOBAL_OFFSET_TABLE_ __isoc99_sscanf __sched_cpucount aligned_alloc calloc clock_gettime close fmaf fmaxf fminf "
    "free malloc memcpy memmove memset mmap munmap open posix_memalign pthread_create pthread_join read "
    "sched_getaffinity snprintf strchr strcmp strrchr strtok_r syscall sysconf vsnprintf".split()
)
start_up = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__cxa_finalize", "__gmon_start__"}


def write_data(folder):
    """Nine digits, one of them also as pixels; the logits of both are the program's."""
    images = sorted((root / "tests" / "data" / "digits").glob("*.png"))[::40]
    program = one / "digits_resnet8"
    run(program, *images, "--dump-input", folder / "x.npy", "--output", folder / "y.npy")
    np.load(folder / "x.npy").tofile(folder / "inputs")
    np.load(folder / "y.npy").tofile(folder / "logits")
    photo = Image.open(models / "demo" / "digits" / "3_1160.jpg").convert("RGB")
    photo.save(folder / "photo.png")
    run(program, folder / "photo.png", "--output", folder / "photo.npy")
    np.load(folder / "photo.npy").tofile(folder / "photo_logits")
    (folder / "pixels").write_bytes(photo.tobytes())
    return photo.size


def symbols(path, *options):
    """(type, name without its version) of each symbol."""
    lines = run("nm", *options, path).stdout.splitlines()
    found = [re.fullmatch(r"[0-9a-f]* *([A-Za-z]) (\S+)", line) for line in lines]
    return [(match[1], match[2].split("@")[0]) for match in found if match]


def check_symbols(folder, name, prefix):
    """Only PREFIX_* is defined, only libc's names are needed."""
    functions = {f"{prefix}_{f}" for f in ("create", "run", "run_image", "message", "destroy", "label")}
    for file, options in ((f"lib{name}.a", ["-g"]), (f"lib{name}.so", ["-D"])):
        table = symbols(folder / file, *options)
        defined = {symbol for kind, symbol in table if kind not in "Uw"}
        needed = {symbol for kind, symbol in table if kind in "Uw"} - defined
        hidden = {f"{prefix}_weights"} if file.endswith(".a") else set()
        check(defined == functions | hidden, f"{file} defines", sorted(defined))
        check(needed <= imports | start_up, f"{file} needs", sorted(needed - imports - start_up))
        print(f"{file}: defines {len(defined)} names, all {prefix}_*; needs {' '.join(sorted(needed - start_up))}")
    dynamic = run("readelf", "-d", folder / f"lib{name}.so").stdout
    shared = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    check(shared <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}, f"lib{name}.so needs", shared)
    check(f"soname: [lib{name}.so]" in dynamic and "TEXTREL" not in dynamic, dynamic)
    stack = run("readelf", "-lW", folder / f"lib{name}.so").stdout
    check(re.search(r"GNU_STACK.* RW ", stack), "an executable stack:", stack)


def check_programs(folder, size):
    include, data = ["-I", one], [folder / name for name in ("inputs", "logits", "pixels")]
    arguments = [*data, *size, folder / "photo_logits"]
    static, shared = [one / "libdigits_resnet8.a"], [one / "libdigits_resnet8.so", f"-Wl,-rpath,{one}"]
    for kind, library in (("static", static), ("shared", shared)):
        for source, more in (("use_library.c", arguments), ("run_allocates_nothing.c", [])):
            program = folder / f"{source[:-2]}_{kind}"
            run(*c11, *include, sources / source, "-o", program, *library, *libraries)
            print(f"{program.name}:\n{run(program, *more).stdout}", end="")
    idle = folder / "idle_costs_nothing"
    run(*c11, *include, sources / "idle_costs_nothing.c", "-o", idle, *static, *libraries)
    print(f"{idle.name}:\n{run(idle).stdout}", end="")
    ways = {"asan": ["-fsanitize=address,undefined"], "non_pie": ["-no-pie"], "full_static": ["-static"]}
    for kind, flags in ways.items():
        program = folder / f"use_library_{kind}"
        run(*c11, *flags, *include, sources / "use_library.c", "-o", program, *static, *libraries)
        print(f"{program.name}: {run(program, *arguments).stdout.splitlines()[-1]}")
    cpp = ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic", *include, sources / "use_library.cpp"]
    run(*cpp, "-o", folder / "use_library_cpp", *static, *libraries)
    run(folder / "use_library_cpp")


def check_two_models(folder):
    topology = json.loads((models / "digits_resnet8.json").read_text())
    topology["name"] = "digits-two"
    topology["head"]["labels"] = str(models / "labels" / "digits.txt")
    (folder / "digits-two.json").write_text(json.dumps(topology))
    two = folder / "two"
    compile_model(folder / "digits-two.json", "random:2", two, "--emit", "exe,static,shared,header")
    check_symbols(two, "digits-two", "digits_two")
    keys = [
        {kernel["key"] for kernel in json.loads((path / "report.json").read_text())["kernels"]} for path in (one, two)
    ]
    check(keys[0] == keys[1] and len(keys[0]) > 5, "the two models do not share their kernel keys")
    run(two / "digits-two", "--input", folder / "x.npy", "--output", folder / "y2.npy")
    np.load(folder / "y2.npy").tofile(folder / "logits_two")

    a = [one / "libdigits_resnet8.a", two / "libdigits-two.a"]
    so = [one / "libdigits_resnet8.so", two / "libdigits-two.so"]
    paths = [f"-Wl,-rpath,{one}", f"-Wl,-rpath,{two}"]
    for kinds in ([a[0], a[1]], [a[1], a[0]], [a[0], so[1]], [so[0], a[1]], [so[0], so[1]]):
        program = folder / "two_models"
        run(*c11, "-I", one, "-I", two, sources / "two_models.c", "-o", program, *kinds, *paths, *libraries)
        run(program, folder / "inputs", folder / "logits", folder / "logits_two")
        print(f"{' + '.join(path.name for path in kinds)}: {len(keys[0])} keys shared, both answer right")


def main():
    check_symbols(one, "digits_resnet8", "digits_resnet8")
    with temporary_folder() as folder:
        check_programs(folder, write_data(folder))
        check_two_models(folder)


main()
