#!/usr/bin/env python3
"""Programs and libraries whose kernels run on an OpenCL device: PoCL, where there is no other.

device_test.py [NET[:SIZE]...]   the digits net in all ways, or these nets against their programs for the CPU
"""

import json
import re
import sys

import numpy as np
from support import check, check_close, check_equal_bits, compile_digits, compile_model, environment, logits
from support import resnetc, root, run, skip, temporary_folder

target = ("--target", "host-opencl")


def require_device(program):
    done = run(program, "--list-devices", status=None)
    if done.returncode != 0:
        skip(f"{done.stderr.strip()}; scripts/setup --tests brings PoCL")
    print(done.stdout.strip())
    check(re.match(r"0  \S.* \((GPU|accelerator|CPU|other), .+\), [\d.]+ GiB\n", done.stdout), done.stdout)


def without_driver(folder):
    """A file in the driver's place that is none: as if it were not installed."""
    folder.mkdir()
    (folder / "libOpenCL.so.1").write_text("no library\n")
    return environment(LD_LIBRARY_PATH=folder)


def check_digits(folder):
    program = folder / "digits_resnet8"
    compile_digits(folder, *target, "--fallback", "cpu", "--emit", "exe,static,shared,header,driver")
    require_device(program)
    images = sorted((root / "tests" / "data" / "digits").glob("*.png"))
    expected = np.load(root / "tests" / "data" / "digits" / "expected_logits.npy")
    run(program, *images, "--batch", 50, "--top", 1, "--dump-input", folder / "x.npy", "--output", folder / "y.npy")
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    check_close("logits in batches of 50", y, expected)
    check_equal_bits("one by one and in batches", logits(program, x[:3]), logits(program, x[:3], "--batch", 2))
    check("self-test passed" in run(program, "--self-test", "--batch", 4).stdout, "--self-test")
    check("\ndevice        " in run(program, "--info").stdout, "--info names no device")
    check('"images_per_second"' in run(program, "--benchmark", "0.2", "--json", "--batch", 2).stdout, "--benchmark")
    said = run(program, "--benchmark", "0.1", "--batch", 2).stdout
    check("\nbatch 2, runs " in said and "threads" not in said, "a device has no threads", said)
    header = (folder / "digits_resnet8.h").read_text()
    check("void* arena;        /* NULL: " in header and "aligned memory" not in header, "what arena is", header)
    listed = run(resnetc(), "targets", "--devices").stdout
    check(f"host-opencl:\n{run(program, '--list-devices').stdout}host-cuda:\n" in listed, listed)
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program).stdout))
    check(needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}, "needs", needed)
    check("--device N" in run(program, "--help").stdout, "--help")


def check_profile(folder):
    """Sums that agree, figures against what was measured on the device, and a page with the same numbers."""
    program, page = folder / "digits_resnet8", folder / "profile.html"
    said = run(program, "--profile", "0.2", "--json", "--batch", 2, "--html", page).stdout
    result = json.loads(said)
    machine, steps, kernels = result["machine"], result["steps"], result["kernels"]
    print(f"{machine['device']}: {machine['peak_gflops']:.0f} GFLOP/s, {machine['memory_gbytes_per_second']:.0f} GB/s; "
          f"{result['together_ms']:.3f} ms in turn, {result['sum_ms']:.3f} by themselves")
    check(machine["device"] and machine["readings"] == 5 and "cpu" not in machine, machine)
    # One core of the slowest kind and the largest GPU there is lie between.
    check(1 < machine["least_peak_gflops"] <= machine["peak_gflops"] < 1e6, machine)
    check(0.1 < machine["memory_gbytes_per_second"] < 1e5, machine)
    for each in steps + kernels:
        flops = each["executed_flop"] / each["ms"] / 1e6
        check(each["ms"] > 0 and abs(each["gflops"] - flops) <= 1e-4 * flops, each)
        check(abs(each["of_peak"] - flops / machine["peak_gflops"]) <= 1e-3 * each["of_peak"] + 1e-9, each)
    check(max(kernel["of_peak"] for kernel in kernels) < 1.3, "a kernel is faster than the peak", kernels)
    check(abs(sum(step["ms"] for step in steps) - result["sum_ms"]) < 1e-4 * result["sum_ms"], "sum of the steps")
    # What else the machine does disturbs the one more than the other: no more than plausible.
    check(0.2 < result["sum_ms"] / result["together_ms"] < 5, result["sum_ms"], result["together_ms"])
    check(result["together_ms"] < 5 * result["inference_ms"], result["inference_ms"])
    check(said.strip().replace("<", "\\u003c") in page.read_text(), "the page has not the numbers that were printed")
    text = run(program, "--profile=0.05").stdout
    check("border" not in text, "borders, which take no time on a device:", text)
    for word in ("all kernels in turn", "measured here: peak", machine["device"], *(step["name"] for step in steps)):
        check(word in text, f"the text says nothing of {word!r}:\n{text}")
    done = run(program, "--profile", "0.05", "--json", "--device", 99, "--fallback", "cpu")
    check("cpu" in json.loads(done.stdout)["machine"] and "it runs on the CPU" in done.stderr, done.stderr)


def check_errors(folder):
    program = folder / "digits_resnet8"

    def message(*arguments, status=1, run_program=program, **options):
        done = run(run_program, *arguments, status=status, **options)
        check(done.stdout == "" and done.stderr.count("\n") == 1, arguments, done.stdout, done.stderr)
        print(done.stderr.strip())
        return done.stderr

    devices = run(program, "--list-devices").stdout.splitlines()
    named = ", ".join(line.replace("  ", " ", 1) for line in devices)
    check(re.search(r"there is no OpenCL device 9: there (is|are) \d+: ", message("--self-test", "--device", 9)), "--device 9")
    check(f": {named}\n" in message("--self-test", "--device", 9), "which there are", named)
    # Seven gigabytes; PoCL has what the machine has, unless told otherwise.
    little = environment(POCL_MEMORY_LIMIT=2)
    said = message("--benchmark", 1, "--batch", 65536, env=little)
    check(re.search(r"use a smaller --batch \(.*\w\)\n$", said), "too little memory")
    # The loader, and no driver that it could load.
    (folder / "no_platform").mkdir()
    none = environment(OCL_ICD_VENDORS=folder / "no_platform")
    check("libOpenCL.so.1 is there, but no OpenCL platform is installed: install" in message("--self-test", env=none),
          "no platform")

    without = without_driver(folder / "no_driver")
    for arguments in (["--self-test"], ["--list-devices"]):
        done = run(program, *arguments, status=1, env=without)
        check(done.stderr.startswith("digits_resnet8: no driver: libOpenCL.so.1 is not there; install OpenCL's loader (ocl-"),
              done.stderr)
    # What a program is, it says anywhere.
    missing = r"\ndevice        none: no driver: libOpenCL.so.1 is not there; .*"
    check(re.search(missing + r"target\n$", run(program, "--info", env=without).stdout), "--info without a driver")
    said = run(program, "--info", "--fallback", "cpu", env=without).stdout
    check(re.search(missing + "; the CPU runs it\n$", said), said)
    said = run(program, "--info", "--device", 9).stdout
    check(re.search(r"\ndevice        none: there is no 9, --list-devices lists \d+\n$", said), said)
    done = run(program, "--self-test", "--fallback", "cpu", "--threads", 2, env=without)
    check("self-test passed" in done.stdout and "it runs on the CPU" in done.stderr, done.stdout, done.stderr)
    said = run(program, "--benchmark", "0.1", "--json", "--fallback", "cpu", env=without).stdout
    check('"images_per_second"' in said and "kernels_ms" not in said, "--benchmark on the CPU instead", said)
    done = run(program, "--self-test", "--fallback", "cpu")
    check("self-test passed" in done.stdout and done.stderr == "", done.stderr)
    check("Usage" in run(program, "--help", env=without).stdout, "--help needs a driver")

    # A kernel that the driver cannot compile: its source is in the program.
    broken = folder / "broken"
    kernel = b"__kernel void _kernel_"
    contents = program.read_bytes()
    at = contents.rindex(kernel)
    broken.write_bytes(contents[:at] + kernel.replace(b"void", b"viod") + contents[at + len(kernel):])
    broken.chmod(0o755)
    said = run(broken, "--self-test", status=1).stderr.splitlines()[-1]
    print(said)
    check(re.search(r"kernel \w+_f32 failed on .*CL_BUILD_PROGRAM_FAILURE", said), "a broken kernel")


def check_order(folder):
    """GPUs come before accelerators and these before CPUs, whatever platform is the first."""
    (folder / "stand_in").mkdir()
    run("cc", "-std=c11", "-shared", "-fPIC", root / "tests" / "e2e" / "library" / "opencl_list.c", "-o",
        folder / "stand_in" / "libOpenCL.so.1")
    env = environment(LD_LIBRARY_PATH=folder / "stand_in")
    said = run(folder / "digits_resnet8", "--list-devices", env=env).stdout
    listed = ["GPU 2 (GPU, B), 2.0 GiB", "GPU 4 (GPU, C), 4.0 GiB", "accelerator 1 (accelerator, A), 1.0 GiB",
              "CPU 0 (CPU, A), 0.0 GiB", "CPU 3 (CPU, B), 3.0 GiB", "custom 5 (other, C), 5.0 GiB"]
    check(said == "".join(f"{i}  {line}\n" for i, line in enumerate(listed)), said)
    said = run(folder / "digits_resnet8", "--info", env=env).stdout
    check(said.endswith(f"\ndevice        {listed[0]}\n"), said)


def check_any_cpu(folder):
    """What is compiled for a CPU that few have starts on any: only the kernels in the device's place ask for it."""
    target = "x86-64-linux-avx512_zen5-opencl"
    compile_digits(folder / "any", "--target", target, "--emit", "exe,shared")
    check("self-test passed" in run(folder / "any" / "digits_resnet8", "--self-test").stdout, "on any CPU")
    code = run("objdump", "-d", "--no-show-raw-insn", folder / "any" / "libdigits_resnet8.so").stdout
    wide = re.search(r"^.*(%[yz]mm|\bvmov).*$", code, re.MULTILINE)
    check(not wide, f"the library holds {wide and wide[0]}")
    compile_digits(folder / "both", "--target", target, "--fallback", "cpu", "--emit", "exe")
    program = folder / "both" / "digits_resnet8"
    check("self-test passed" in run(program, "--self-test", "--fallback", "cpu").stdout, "on any CPU, with a fallback")
    without = without_driver(folder / "both" / "no_driver")
    done = run(program, "--self-test", "--fallback", "cpu", status=None, env=without)
    print(done.stderr.strip())
    lacks = "another --target; and this CPU lacks AVX-512"
    check((lacks if done.returncode == 1 else "it runs on the CPU") in done.stderr, done.stderr)


def check_library(folder):
    for library in ("libdigits_resnet8.a", "libdigits_resnet8.so"):
        run("cc", "-std=c11", "-I", folder, root / "tests" / "e2e" / "library" / "on_device.c", folder / library,
            "-Wl,-rpath," + str(folder), "-lm", "-pthread", "-o", folder / "use")
        run(folder / "use")
        print(f"two handles of {library} on the device")
    run("cc", "-std=c11", "-D_GNU_SOURCE", "-I", folder, root / "tests" / "e2e" / "library" / "device_threads.c",
        folder / "libdigits_resnet8.a", "-lm", "-pthread", "-o", folder / "threads")
    for _ in range(5):  # what is met depends on the threads' pace
        run(folder / "threads")
    symbols = run("nm", "--defined-only", "--extern-only", folder / "libdigits_resnet8.a").stdout
    names = re.findall(r"^[0-9a-f]+ \w (\w+)$", symbols, re.MULTILINE)
    check(names and all(name.startswith("digits_resnet8_") for name in names), "global names", names)


def check_cuda(folder):
    compile_digits(folder / "cuda", "--target", "host-cuda-cuda_capability_75", "--emit", "exe,static")
    program = folder / "cuda" / "digits_resnet8"
    done = run(program, "--self-test", status=None)
    if done.returncode == 0:
        return print("on CUDA:", done.stdout.strip())
    check(re.match(r"digits_resnet8: (no driver: libcuda|libcuda.so.1 knows no device)", done.stderr), done.stderr)
    print(done.stderr.strip())


def check_usage(folder):
    for wrong, problem in (("host-opencl-cuda", "opencl and cuda exclude each other"),
                           ("host-cuda_capability_80", "a cuda_capability goes with cuda"),
                           ("host-cuda-cuda_capability_90", "the highest capability is 86, which later GPUs run too"),
                           ("host-vulkan", "feature vulkan is not supported")):
        done = compile_digits(folder / "wrong", "--target", wrong, status=1)
        check(problem in done.stderr, done.stderr)
    said = compile_digits(folder / "cpu", "--emit", "exe", "--fallback", "cpu", status=1).stderr
    check("--fallback cpu: --target host is for the CPU already" in said, said)
    check("--fallback" in compile_digits(folder / "cpu", *target, "--fallback", "gpu", status=2).stderr, "--fallback gpu")
    compile_digits(folder / "plain", *target, "--emit", "exe,header,driver")
    said = run(folder / "plain" / "digits_resnet8", "--self-test", "--fallback", "cpu", status=2).stderr
    check("this program has no kernels for the CPU" in said, said)
    for file in ("digits_resnet8.h", "digits_resnet8.c"):
        check("fallback" not in (folder / "plain" / file).read_text(), file, "speaks of a fallback")
    compile_digits(folder / "cpu", "--emit", "exe")
    for option in ("--list-devices", "--device=0"):
        done = run(folder / "cpu" / "digits_resnet8", option, status=2)
        check(f"unknown option {option}" in done.stderr, done.stderr)


def check_net(folder, net, *size):
    """A net with random weights gives on the device what it gives on the CPU."""
    options = ["--size", size[0]] if size else []
    for name, more in (("cpu", []), ("device", [*target, "--fallback", "cpu"])):
        compile_model(net, "random:1", folder / net / name, "--emit", "exe", *options, *more)
    program = folder / net / "device" / net
    require_device(program)
    print(run(program, "--self-test", "--batch", 2).stdout.strip())
    shape = re.search(r"^input +\(N, (\d+), (\d+), (\d+)\)", run(program, "--info").stdout, re.MULTILINE).groups()
    x = np.random.default_rng(5).standard_normal((3, *map(int, shape)), np.float32)
    on_cpu = logits(folder / net / "cpu" / net, x)
    check_close(f"{net} on the device", logits(program, x, "--batch", 2), on_cpu)
    instead = logits(program, x, "--batch", 2, "--device", 99, "--fallback", "cpu")
    check_close(f"{net} on the CPU instead", instead, on_cpu)


def main():
    with temporary_folder() as folder:
        if len(sys.argv) > 1:
            for argument in sys.argv[1:]:
                check_net(folder, *argument.split(":"))
            return
        check_digits(folder)
        check_profile(folder)
        check_errors(folder)
        check_order(folder)
        check_any_cpu(folder)
        check_library(folder)
        check_cuda(folder)
        check_usage(folder)


main()
