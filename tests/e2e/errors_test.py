#!/usr/bin/env python3
"""What resnetc says where it cannot do what it is asked: a message that names the place and the fix, and no output."""

import json
import os
import pathlib
import re
import resource
import shutil
import subprocess

import numpy as np
from support import check, compile_digits, contents, environment, models, resnetc, run, temporary_folder
from safetensors_file import read_safetensors, write_safetensors

topology = models / "digits_resnet8.json"
weights = models / "digits_resnet8.safetensors"


def refused(folder, *arguments, status=1, words=(), **options):
    """resnetc must end with this status and say these words on standard error, in a line or two, and leave nothing."""
    before = set(folder.rglob("*"))
    done = run(resnetc(), *arguments, status=status, cwd=folder, **options)
    check(done.stdout in ("", None), arguments, "prints on standard output:", done.stdout)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("compiling kernels", "warning: "))]
    check(lines and lines[0].startswith("resnetc: "), arguments, "says:", done.stderr)
    said = done.stderr.lower()
    check(all(word.lower() in said for word in words), arguments, "must say", words, "but says:", done.stderr)
    check("internal error" not in done.stderr, arguments, "says:", done.stderr)
    left = set(folder.rglob("*"))
    check(left == before, arguments, "leaves", left - before)
    print(done.stderr.strip().splitlines()[-1 if status == 1 else 0])


def check_usage(folder):
    compile_words = ["compile", topology, "-w", weights]
    for arguments in (
        [],
        ["--nonsense"],
        ["compile"],
        ["compile", topology, "--nonsense"],
        ["nonsense"],
        [*compile_words, "--emit", "exe,dll"],
        [*compile_words, "--emit", ""],
        [*compile_words, "--size", "64"],
        [*compile_words, "--size", "0x64"],
        [*compile_words, "--size", "64x64x3"],
        [*compile_words, "--classes", "0"],
        [*compile_words, "--threads", "0"],
        [*compile_words, "-j", "-1"],
        [*compile_words, "-w"],
        [*compile_words, "extra.json"],
    ):
        refused(folder, *arguments, status=2, words=["--help"])
    refused(folder, "train", status=2, words=["there is no command 'train'", "compile, inspect"])
    refused(folder, *compile_words, "--nonsense", status=2, words=["--nonsense", "resnetc compile --help"])
    usage = run(resnetc(), "compile", "--help").stdout
    flags = "weights target output emit classes no-head size labels cache jobs ignore-extra threads".split()
    check(all(f"--{flag}" in usage for flag in flags), usage)


def check_versions(folder):
    check("Halide 21" in run(resnetc(), "version").stdout, "version")
    targets = run(resnetc(), "targets").stdout
    check("avx2" in targets and re.search(r"measured: [1-9][0-9.]* GFLOP/s \(.*\), [1-9][0-9.]* GB/s", targets), targets)
    with open("/dev/full", "w") as full:
        for command in ("version", "targets", "--help"):
            done = run(resnetc(), command, stdout=full, status=1)
            check("standard output" in done.stderr, command, done.stderr)


def check_inputs(folder):
    refused(folder, "compile", topology, words=["digits_resnet8.json", "--weights FILE", "random:1"])
    refused(folder, "compile", "gone.json", "-w", weights, words=["gone.json", "No such file"])
    refused(folder, "compile", folder, "-w", weights, words=[str(folder)])
    refused(folder, "compile", topology, "-w", "gone.safetensors", words=["gone.safetensors", "No such file"])
    refused(folder, "compile", topology, "-w", folder, words=[str(folder)])
    refused(folder, "compile", topology, "-w", topology, words=["digits_resnet8.json"])
    refused(folder, "compile", topology, "-w", "random:x", words=["random:"])
    refused(folder, "compile", models / "resnet18.json", "-w", weights, words=["digits_resnet8.safetensors"])

    whole = weights.read_bytes()
    for size in (0, 7, 8, 100, 5000, len(whole) - 1):
        (folder / "cut.safetensors").write_bytes(whole[:size])
        refused(folder, "compile", topology, "-w", "cut.safetensors", words=["cut.safetensors"])
    tensors = read_safetensors(weights)
    write_safetensors(folder / "extra.safetensors", {**tensors, "layer9.weight": np.zeros((3, 3), np.float32)})
    extra = ["compile", topology, "-w", "extra.safetensors"]
    refused(folder, *extra, words=["layer9.weight", "--ignore-extra"])
    done = run(resnetc(), *extra, "--ignore-extra", "-o", "out", "--emit", "header", cwd=folder)
    check("layer9.weight" in done.stderr, "--ignore-extra says nothing of the extra tensor:", done.stderr)
    shutil.rmtree(folder / "out")
    missing = {name: tensor for name, tensor in tensors.items() if name != "layer2.0.bn1.running_var"}
    write_safetensors(folder / "missing.safetensors", missing)
    refused(folder, "compile", topology, "-w", "missing.safetensors", words=["layer2.0.bn1.running_var"])
    wrong = {**tensors, "conv1.weight": np.full_like(tensors["conv1.weight"], np.nan)}
    write_safetensors(folder / "nan.safetensors", wrong)
    refused(folder, "compile", topology, "-w", "nan.safetensors", words=["nan.safetensors"])

    text = topology.read_text()
    (folder / "bad.json").write_text(text.replace('"channels": 16, "kernel"', '"channels": 0, "kernel"'))
    refused(folder, "compile", "bad.json", "-w", weights, words=["bad.json: stem.channels: must be at least 1, got 0"])
    (folder / "bad.json").write_text(text[:-20])
    refused(folder, "compile", "bad.json", "-w", weights, words=["bad.json"])
    (folder / "labels.txt").write_text("zero\none\n")
    refused(folder, "compile", topology, "-w", weights, "--labels", "labels.txt", words=["labels.txt", "10"])
    refused(folder, "compile", topology, "-w", weights, "--labels", "gone.txt", words=["gone.txt"])
    refused(folder, "compile", topology, "-w", weights, "--classes", 7, words=["fc.weight"])


def check_targets(folder):
    compile_words = ["compile", topology, "-w", weights, "--target"]
    refused(folder, *compile_words, "nonsense", words=["nonsense", "resnetc targets"])
    refused(folder, *compile_words, "arm-64-linux", words=["arm-64-linux", "x86-64-linux"])
    refused(folder, *compile_words, "x86-64-linux", words=["x86-64-linux-sse41"])
    refused(folder, *compile_words, "x86-64-windows-avx2", words=["x86-64-linux"])
    refused(folder, *compile_words, "x86-64-linux-cuda", words=["cuda"])


def check_places(folder):
    (folder / "a_file").write_text("mine")
    compile_words = ["compile", topology, "-w", weights, "-o"]
    refused(folder, *compile_words, "a_file", words=["a_file", "not a folder"])
    refused(folder, *compile_words, "a_file/below", words=["a_file"])
    refused(folder, *compile_words, "/proc/resnetc", words=["/proc"])
    if os.geteuid() != 0:
        (folder / "locked").mkdir(mode=0o555)
        refused(folder, *compile_words, "locked/out", words=["locked", "Permission denied"])

    # A cache that cannot be used is no reason to fail.
    for cache in ("/proc/resnetc", folder / "a_file", folder / "a_file/below"):
        compile_digits(folder / "out", "--emit", "header", "--cache", cache)
    compile_digits(folder / "out", "--emit", "header", env=environment())
    check(sorted(path.name for path in folder.iterdir())[:2] == ["a_file", "out"], "files of the cache elsewhere")
    shutil.rmtree(folder / "out")


def check_tools(folder):
    """Without a C compiler, and with one that fails."""
    empty = folder / "empty_path"
    empty.mkdir()
    compile_words = ["compile", topology, "-w", weights, "-o", "out"]
    variables = environment(PATH=empty, XDG_CACHE_HOME=os.environ["XDG_CACHE_HOME"])
    refused(folder, *compile_words, env=variables, words=["'cc'", "PATH"])
    (empty / "cc").write_text("#!/bin/sh\necho this compiler is broken >&2\nexit 3\n")
    (empty / "cc").chmod(0o755)
    refused(folder, *compile_words, env=variables, words=["'cc'", "status 3", "this compiler is broken"])
    (empty / "cc").write_text("#!/bin/sh\nkill -9 $$\n")
    refused(folder, *compile_words, env=variables, words=["'cc'", "Killed"])
    run(resnetc(), *compile_words, "--emit", "header,ir,driver", cwd=folder, env=variables)  # which need none
    shutil.rmtree(folder / "out")


def check_names(folder):
    """A name that collides with C, libc, the runtime or resnetc's own files is refused, or made to work."""
    names = "rn resnetc halide pthread malloc stdin kernel0 code weights driver exports NULL int a-b report".split()
    for name in names:
        text = json.loads(topology.read_text())
        text["name"] = name
        text["head"].pop("labels")
        (folder / f"{name}.json").write_text(json.dumps(text))
        words = ["compile", f"{name}.json", "-w", weights, "-o", "out", "--emit", "exe,static,shared,header"]
        done = subprocess.run([resnetc(), *words], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            check(f'{name}.json: name: "{name}"' in done.stderr, f"{name} is not refused clearly:", done.stderr)
            print(done.stderr.strip())
            continue
        prefix = name.replace("-", "_")
        run(folder / "out" / name, "--self-test")
        lines = run("nm", "-g", "--defined-only", folder / "out" / f"lib{name}.a").stdout.splitlines()
        defined = {line.split()[-1] for line in lines if len(line.split()) == 3}
        functions = ("create", "run", "run_image", "message", "destroy", "label", "weights")
        check(defined == {f"{prefix}_{each}" for each in functions}, f"lib{name}.a defines {defined}")
        print(f"{name}: works as a name")
        shutil.rmtree(folder / "out")


def check_streams(folder):
    """Messages that cannot be written change nothing else."""
    words = [resnetc(), "compile", topology, "-w", weights, "--emit", "exe,static,shared,header,ir,driver", "-o"]
    run(*words, "good", cwd=folder)
    good = {**contents(folder / "good"), "report.json": ""}
    with open("/dev/full", "w") as full:
        run(*words, "full", cwd=folder, stderr=full)
        run(resnetc(), "nonsense", status=2, stderr=full)
        run(*words, "/proc/resnetc", status=1, stderr=full)
    check({**contents(folder / "full"), "report.json": ""} == good, "standard error full: other files")
    reader, writer = os.pipe()
    os.close(reader)
    run(*words, "unread", cwd=folder, stderr=writer)
    os.close(writer)
    check({**contents(folder / "unread"), "report.json": ""} == good, "standard error that nobody reads: other files")
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    check(not hidden, "left behind:", hidden)
    for closed in ([0], [1], [2], [0, 1, 2]):
        output = folder / "".join(map(str, closed))
        command = [str(word) for word in (*words, output)]
        done = subprocess.run(
            command, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda closed=closed: [os.close(number) for number in closed],
        )  # fmt: skip
        check(done.returncode == 0, f"with {closed} closed: status {done.returncode}, {done.stderr}")
        check({**contents(output), "report.json": ""} == good, f"with {closed} closed: other files")
    print("standard streams that are full or closed: the same files")


def check_full_disk(folder):
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    for size in (0, 1000, 20_000, 100_000, 250_000, 350_000, 1_000_000):
        refused(folder, "compile", topology, "-w", weights, "-o", "out", preexec_fn=lambda size=size: limit(size))


def main():
    pathlib.Path(os.environ["XDG_CACHE_HOME"]).mkdir(parents=True, exist_ok=True)
    checks = [check_usage, check_versions, check_inputs, check_targets, check_places, check_tools, check_full_disk]
    for each in [*checks, check_names, check_streams]:
        with temporary_folder() as folder:
            each(folder)


main()
