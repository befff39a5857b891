#!/usr/bin/env python3
"""A CUDA program against a stand-in for the driver, which computes nothing but takes note of each call: all that is made
is released, nothing waits between kernels, and each error is one message."""

import json
import re

import numpy as np
from support import CudaDriver, check, compile_digits, environment, models, resnetc, root, run, temporary_folder


class Driver(CudaDriver):
    def chunks(self):
        """The calls from each copy of an input to the copy of its output, after the handle was made."""
        text = "\n".join(line for line in self.calls if line != "cuModuleGetFunction")  # asks the device nothing
        made = text.index("cuGraphDestroy") if "cuGraphDestroy" in text else text.index("cuMemcpyDtoHAsync_v2")
        chunk = r"cuMemcpyHtoDAsync_v2 \d+\n(?:.*\n)*?cuMemcpyDtoHAsync_v2.*\n.*"
        return [found.splitlines() for found in re.findall(chunk, text[made:])]


def check_run(folder, driver, program):
    """Nothing between the kernels: those of a full batch are one graph, of a rest one after the other."""
    steps = len(re.findall(r"^ +\{\w+_on_device_argv", (folder / "digits_resnet8.c").read_text(), re.MULTILINE))
    channels, *sides = map(int, re.search(r"\(N, (\d+), (\d+), (\d+)\)", driver.run(program, "--info").stdout).groups())
    x = np.ones((5, channels, *sides), np.float32)
    np.save(folder / "x.npy", x)
    classify = (program, "--input", folder / "x.npy", "--output", folder / "y.npy", "--batch", 2)
    image = x.nbytes // 5

    driver.run(*classify)
    check(np.load(folder / "y.npy").shape[0] == 5, "five rows")
    # Halide's own choice, 64, are fewer than the sums of a large tile.
    check(driver.count("registers") == driver.count("cuModuleLoadData") > 0, driver.calls)
    check({line for line in driver.calls if line.startswith("registers")} == {"registers 255"}, driver.calls)
    chunks = driver.chunks()
    check([len(chunk) for chunk in chunks] == [4, 4, steps + 3], chunks)
    for chunk, images in zip(chunks, (2, 2, 1)):
        check(chunk[0] == f"cuMemcpyHtoDAsync_v2 {images * image}" and chunk[-1] == "cuStreamSynchronize", chunk)
    check(chunks[0][1] == f"cuGraphLaunch {steps}" and chunks[0] == chunks[1], chunks[0], steps)
    check(all(call.startswith("cuLaunchKernel _kernel_") for call in chunks[2][1:-2]), chunks[2])
    launched = set(re.findall(r"cuLaunchKernel (\w+) of module (\d+)", "\n".join(driver.calls)))
    check(len({name for name, _ in launched}) == len({module for _, module in launched}) > 1, "one name for each", launched)
    print(f"{steps} kernels: one graph for a full batch, {steps} launches for a rest, nothing between them")

    # A driver without graphs, or that cannot record these kernels.
    for call in ("cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"):
        driver.run(*classify, fail=f"{call}:1:801")
        check(driver.count("cuGraphLaunch") == 0, call)
        check([len(chunk) for chunk in driver.chunks()[-3:]] == [steps + 3] * 3, call, driver.chunks())

    figures = json.loads(driver.run(program, "--benchmark", "0.01", "--json").stdout)
    check(figures["kernels_ms"] > 0, figures)
    figures = json.loads(driver.run(program, "--profile", "0.01", "--json", "--batch", 3).stdout)
    check(figures["machine"]["device"] == "stand-in 0" and len(figures["steps"]) == steps, figures)
    check(driver.count("cuGraphLaunch") > steps, "a step's launches are no graph")


def check_devices(driver, program):
    said = driver.run(program, "--list-devices", devices=3).stdout
    check(said == "".join(f"{i}  stand-in {i} (compute capability 8.6), 1.0 GiB\n" for i in range(3)), said)
    for device in (0, 2):
        driver.run(program, "--benchmark", "0.01", "--device", device, devices=3)
        retained = "cuDevicePrimaryCtxRetain"
        check(f"{retained} {device}" in driver.calls and driver.count(retained) == 1, driver.calls[:20])


def check_errors(folder, driver, program):
    def message(*options, command=("--benchmark", "0.01"), **settings):
        done = driver.run(program, *command, *options, status=1, **settings)
        check(done.stdout == "" and done.stderr.count("\n") == 1, settings, done.stdout, done.stderr)
        print(" ".join(map(str, settings.values())), "->", done.stderr.strip())
        return done.stderr

    def expect(pattern, said):
        check(re.search(pattern, said), f"{pattern!r} is not in", said)

    expect("there is no CUDA device 1: there is 1: 0 stand-in 0 .*GiB\n$", message("--device", 1))
    expect("device 7: there are 3: 0 stand-in 0 .*, 1 stand-in 1 .*, 2 stand-in 2 .*GiB\n$",
           message("--device", 7, devices=3))
    expect("libcuda.so.1 knows no device", message(devices=0))
    expect("libcuda.so.1 knows no device", message(command=["--list-devices"], devices=0))
    expect(r"libcuda.so.1 knows no device \(error 999\)", message(fail="cuInit:1:999:lost"))
    for call in ("cuDevicePrimaryCtxRetain", "cuStreamCreate"):
        expect(r"stand-in 0: cannot be opened \(CUDA error 2\); is it in use", message(fail=f"{call}:1:2"))
    expect("stand-in 0: cannot be opened .*OUT_OF_MEMORY.*; is it in use", message(fail="cuStreamSynchronize:1:2"))
    expect(r"cannot hold an arena of \d+ bytes.*\(CUDA error 719\)", message(fail="cuMemsetD8Async:1:719"))
    expect("cannot hold [0-9]+ bytes of weights .*OUT_OF_MEMORY", message(memory=20000))
    expect("use a smaller --batch", message("--batch", 3000, memory=100 << 20))
    # What is known when the host waits is no kernel's error either.
    expect(r"cannot hold [0-9]+ bytes of weights .*OUT_OF_MEMORY", message(fail="cuStreamSynchronize:2:2"))
    expect(r"cannot hold an arena of \d+ bytes.*OUT_OF_MEMORY", message(fail="cuStreamSynchronize:3:2"))
    key = r"kernel \w+_f32 failed on stand-in 0: .*"
    # Of the first kernel and of a later one, at the first run.
    for call, error, name in (("cuModuleLoadData", 218, "INVALID_PTX"), ("cuModuleGetFunction", 500, "NOT_FOUND"),
                              ("cuLaunchKernel", 701, "OUT_OF_RESOURCES"), ("cuLaunchKernel", 719, "LAUNCH_FAILED")):
        for number in (1, 3):
            expect(key + name, message(fail=f"{call}:{number}:{error}"))
    # Of errors that Halide has no name for the number is said; kernels that are newer than the driver are not to blame.
    expect(key + "cuModuleLoadData.*error 223$", message(fail="cuModuleLoadData:1:223"))
    expect(key + "error 720 cuLaunchKernel failed$", message(fail="cuLaunchKernel:2:720"))
    for error, said in ((222, "error 222"), (209, "CUDA_ERROR_NO_BINARY_FOR_GPU")):
        expect(rf"^digits_resnet8: stand-in 0: the driver is too old for this program \(.*{said}.*\): install a newer "
               "one, or compile for a lower cuda_capability\n$", message(fail=f"cuModuleLoadData:1:{error}"))
    # A kernel that breaks something while it runs, which is known when the host waits.
    expect(key + "LAUNCH_FAILED", message(fail="cuStreamSynchronize:5:719:lost"))
    # The device is lost: when a handle is made, and later.
    driver.run(program, "--benchmark", "0.01")
    numbers = {call: driver.count(call) for call in {line.split()[0] for line in driver.calls}}
    # Of kernels that run together the device does not say which one failed: --profile runs each alone, first.
    among = r"stand-in 0: failed in one of \d+ kernels, of which --profile of a program finds it; up to \w+_f32: "
    expect(among + "CUDA error 700", message(fail="cuGraphLaunch:2:700:lost"))
    once = ("--input", folder / "x.npy", "--output", folder / "y.npy", "--batch", 5)
    driver.run(program, *once)
    last = driver.count("cuStreamSynchronize") - 1  # before the one of the handle's end
    expect(among + ".*LAUNCH_FAILED", message(command=once, fail=f"cuStreamSynchronize:{last}:719:lost"))
    expect(key + "CUDA error 700", message(command=("--profile", "0.01"), fail="cuGraphLaunch:3:700:lost"))
    for call in ("cuMemAlloc_v2", "cuMemcpyHtoDAsync_v2", "cuLaunchKernel", "cuMemcpyDtoHAsync_v2", "cuGraphLaunch"):
        # The number of runs, and with it that of other calls, is not always the same.
        later = {numbers[call] // 2, numbers[call]} if call in ("cuMemAlloc_v2", "cuLaunchKernel") else set()
        for number in sorted({1, 2} | later):
            expect("stand-in 0", message(fail=f"{call}:{number}:700:lost"))
    # A device that is older than what the program asks for; `program` itself asks for 5.0.
    expect("compute capability 3.7, the kernels need 5.0\n$", message(capability=37))
    # A driver that is older than what Halide's runtime asks for.
    (folder / "old").mkdir()
    driver.build(folder / "old", "-DcuCtxGetDevice=cuOther")
    said = run(program, "--self-test", status=1, env=environment(LD_LIBRARY_PATH=folder / "old")).stderr
    expect("libcuda.so.1 has no cuCtxGetDevice: install a newer driver\n$", said)
    (folder / "none").mkdir()
    (folder / "none" / "libcuda.so.1").write_text("no library\n")
    said = run(program, "--self-test", status=1, env=environment(LD_LIBRARY_PATH=folder / "none")).stderr
    expect("no driver: libcuda.so.1 is not there; install the GPU's driver, or compile for another --target", said)


def check_fallback(driver, program):
    """A device that is there and cannot be used is as one that is not; a kernel that fails is an error all the same."""
    def said(**settings):
        done = driver.run(program, "--self-test", "--fallback", "cpu", **settings)
        check("self-test passed" in done.stdout and done.stderr.count("\n") == 1, done.stdout, done.stderr)
        print(done.stderr.strip())
        return done.stderr

    check("(CUDA error 46); is it in use, or out of memory?; it runs on the CPU" in
          said(fail="cuDevicePrimaryCtxRetain:1:46"), "a busy device")
    for bytes_there in (20000, 400000):  # too little for the weights, for the arena
        check(re.search("cannot hold .*; it runs on the CPU\n$", said(memory=bytes_there)), "too little memory")
    check("has compute capability 3.7, the kernels need 5.0; it runs on the CPU" in said(capability=37), "too old a device")
    for error in (209, 222):
        old = said(fail=f"cuModuleLoadData:1:{error}")
        check("the driver is too old" in old and "it runs on the CPU" in old, old)
    wrong = driver.run(program, "--self-test", "--fallback", "cpu", fail="cuModuleLoadData:2:218", status=1).stderr
    check("kernel " in wrong and "on the CPU" not in wrong, wrong)


def check_most_images(folder, driver, program):
    """The stand-in starts no more blocks along y and z than CUDA, 65,535."""
    driver.run(program, "--benchmark", "0.001", "--batch", 65536, memory=1 << 36)
    check(driver.count("cuGraphLaunch") > 0, "a full batch is no graph")

    # The first layer's result with its border has 66 x 66 x 16 floats, which are counted in 32 bits.
    compile_digits(folder / "large", "--target", "host-cuda", "--size", "64x64", "--emit", "exe")
    large, most = folder / "large" / "digits_resnet8", (2**31 - 1) // (66 * 66 * 16)
    said = run(large, "--self-test", "--batch", most + 1, status=1).stderr
    check(said == f"digits_resnet8: --batch {most + 1} is too large: {most} is the most\n", said)
    said = run(large, "--info", "--batch", most + 1).stdout
    check(f"\narena         none: --batch {most + 1} is too large: {most} is the most\n" in said, said)
    said = run(large, "--info", "--batch", most).stdout
    check(f" for a batch of {most}, {most} at once\n" in said, said)


def check_tuning(folder, driver):
    """A device that is too old for the target is no candidate's fault: it ends the tuning and leaves nothing behind."""
    db = folder / "records.jsonl"
    env = environment(LD_LIBRARY_PATH=driver.folder, STAND_IN_CAPABILITY=75, XDG_CACHE_HOME=folder / "cache")
    said = run(resnetc(), "tune", models / "digits_resnet8.json", "--target", "host-cuda-cuda_capability_86", "--kernels",
               "^dense", "--budget", "20s", "--db", db, status=1, env=env).stderr
    print(said.splitlines()[-1])
    check("has compute capability 7.5, the kernels need 8.6: use --target host-cuda\n" in said, said)
    check(not any(file.exists() and file.read_text() for file in (db, db.with_suffix(".trials.jsonl"))), "what it left")


def check_library(folder, driver):
    run("cc", "-std=c11", "-I", folder, root / "tests" / "e2e" / "library" / "two_handles.c",
        folder / "libdigits_resnet8.a", "-lm", "-pthread", "-o", folder / "two_handles")
    driver.run(folder / "two_handles")
    retained, released, modules = map(driver.count, ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2",
                                                     "cuModuleLoadData"))
    check(retained == released == 2, driver.calls)
    # What the first handle compiled serves the second too, and for as long.
    unloaded = driver.calls.index("cuModuleUnload")
    kernels = len(re.findall(r"^extern int \w+_on_device_argv", (folder / "digits_resnet8.c").read_text(), re.MULTILINE))
    check(modules == driver.count("cuModuleUnload") == kernels, modules, kernels)
    check("cuDevicePrimaryCtxRelease_v2" in driver.calls[:unloaded], "modules are unloaded with the first handle")


def main():
    with temporary_folder() as folder:
        driver = Driver(folder)
        compile_digits(folder, "--target", "host-cuda", "--fallback", "cpu", "--emit", "exe,static,header,driver")
        program = folder / "digits_resnet8"
        check_run(folder, driver, program)
        check_devices(driver, program)
        check_errors(folder, driver, program)
        check_fallback(driver, program)
        check_most_images(folder, driver, program)
        check_library(folder, driver)
        check_tuning(folder, driver)


main()
