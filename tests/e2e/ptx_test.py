#!/usr/bin/env python3
"""The PTX of every kernel of these nets is assembled by ptxas, where the CUDA toolkit is, without spilling a register, and
the registers of its blocks, as the program launches them, are no more than a multiprocessor has.

ptx_test.py NET[:SIZE[:BATCH]]...
"""

import re
import shutil
import sys

from support import CudaDriver, check, compile_digits, compile_model, run, skip, temporary_folder

capability = 80  # compiled for
assembled_for = (80, 90)
registers_of_multiprocessor = 65536


def find_ptxas():
    found = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    return found or skip("ptxas is not there; it comes with the CUDA toolkit")


def assemble(ptxas, file):
    """The most registers of a thread, and the bytes that are spilled."""
    said = ""
    for architecture in assembled_for:
        said += run(ptxas, f"-arch=sm_{architecture}", "-v", "-o", file.with_suffix(".cubin"), file).stderr
    registers = max(int(number) for number in re.findall(r"Used (\d+) registers", said))
    return registers, sum(int(number) for number in re.findall(r"(\d+) bytes spill stores", said))


def block_registers(registers, threads):
    """Each warp has its registers in units of 256."""
    return -(-threads // 32) * -(-32 * registers // 256) * 256


def check_net(ptxas, folder, net, size=None, batch="1"):
    out = folder / net
    options = ["--size", size] if size else []
    compile_model(net, "random:1", out, "--emit", "exe,driver", "--target",
                  f"host-cuda-cuda_capability_{capability}", "--batch", batch, *options)
    kernels = len(re.findall(r"^extern int \w+_on_device_argv", (out / f"{net}.c").read_text(), re.MULTILINE))
    (out / "modules").mkdir()
    driver = CudaDriver(out)
    driver.run(out / net, "--benchmark", "0.001", memory=1 << 36, modules=out / "modules")
    launched = re.findall(r"of module (\d+): (\d+) threads", "\n".join(driver.calls))
    threads = {int(module): max(int(t) for m, t in launched if m == module) for module, _ in launched}
    check(len(threads) == kernels, f"{len(threads)} modules of PTX for {kernels} kernels")
    results = {module: assemble(ptxas, out / "modules" / f"{module}.ptx") for module in threads}
    most = max(block_registers(results[module][0], count) for module, count in threads.items())
    print(f"{net}, batch {batch}: {kernels} kernels, at most {max(r for r, _ in results.values())} registers a thread, "
          f"{max(threads.values())} threads and {most} registers a block")
    check(all(spilled == 0 for _, spilled in results.values()), "registers are spilled")
    check(most <= registers_of_multiprocessor, "blocks that no multiprocessor can run", threads, results)


def check_peak(ptxas, folder):
    """The kernels that measure a device: none spills, and none is optimised away."""
    compile_digits(folder, "--emit", "exe", "--target", "host-cuda")
    (folder / "modules").mkdir()
    driver = CudaDriver(folder)
    driver.run(folder / "digits_resnet8", "--profile", "0.001", modules=folder / "modules")
    module = re.findall(r"multiply_add of module (\d+):", "\n".join(driver.calls))[0]
    registers, spilled = assemble(ptxas, folder / "modules" / f"{module}.ptx")
    print(f"the device's peak: {registers} registers a thread")
    check(14 <= registers <= 32 and spilled == 0, "registers", registers, "spilled", spilled)


def main():
    ptxas = find_ptxas()
    with temporary_folder() as folder:
        check_peak(ptxas, folder)
    for argument in sys.argv[1:]:
        with temporary_folder() as folder:
            check_net(ptxas, folder, *argument.split(":"))


main()
