#!/usr/bin/env python3
"""The PTX of every kernel of these nets is assembled by ptxas, where the CUDA toolkit is, without spilling a register, and
the registers of its blocks, as the program launches them, are no more than a multiprocessor has. PTX that several nets
share is assembled once.

ptx_test.py [--capabilities N...] [--nets NET[:SIZE[:BATCH]]...]   all nets of models/ unless told, for 86
"""

import argparse
import functools
import hashlib
import json
import re
import shutil

from support import CudaDriver, check, compile_digits, compile_model, models, resnetc, run, skip, temporary_folder

latest = 90  # assembled for this one, too
registers_of_multiprocessor = 65536
most_registers = 255  # of a thread: what the runtime has the driver's compiler keep to


def find_ptxas():
    found = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    return found or skip("ptxas is not there; it comes with the CUDA toolkit")


@functools.cache
def architectures(ptxas, capability):
    """The least that this ptxas knows and that runs the PTX of the capability, and the latest."""
    known = {int(number) for number in re.findall(r"'sm_(\d+)'", run(ptxas, "--help").stdout)}
    return sorted({min(number for number in known if number >= capability), latest})


def assemble(ptxas, file, capability):
    """The most registers of a thread, and the bytes that are spilled."""
    said = ""
    for architecture in architectures(ptxas, capability):
        said += run(ptxas, f"-arch=sm_{architecture}", f"-maxrregcount={most_registers}", "-v", "-o", file.with_suffix(".cubin"), file).stderr
    registers = max(int(number) for number in re.findall(r"Used (\d+) registers", said))
    return registers, sum(int(number) for number in re.findall(r"(\d+) bytes spill stores", said))


def block_registers(registers, threads):
    """Each warp has its registers in units of 256; each of a multiprocessor's four parts must have room for as many
    warps as the fullest."""
    return 4 * -(-threads // 128) * -(-32 * registers // 256) * 256


def check_net(ptxas, folder, seen, capability, net, size=None, batch="1"):
    """seen: digests of the PTX that was assembled."""
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
    new = {}
    for module, count in threads.items():
        file = out / "modules" / f"{module}.ptx"
        check(f".target sm_{capability}" in file.read_text(), file)
        digest = hashlib.sha256(file.read_bytes() + str(count).encode()).digest()
        if digest not in seen:
            seen.add(digest)
            new[module] = (*assemble(ptxas, file, capability), count)
    if not new:
        return
    most = max(block_registers(registers, count) for registers, _, count in new.values())
    print(f"{net}, batch {batch}, capability {capability}: {kernels} kernels, {len(new)} of them new, at most "
          f"{max(registers for registers, _, _ in new.values())} registers a thread, {max(threads.values())} threads and "
          f"{most} registers a block", flush=True)
    check(all(spilled == 0 for _, spilled, _ in new.values()), "registers are spilled", new)
    check(most <= registers_of_multiprocessor, "blocks that no multiprocessor can run", new)


def check_peak(ptxas, folder):
    """The kernels that measure a device: none spills, and none is optimised away."""
    compile_digits(folder, "--emit", "exe", "--target", "host-cuda")
    (folder / "modules").mkdir()
    driver = CudaDriver(folder)
    driver.run(folder / "digits_resnet8", "--profile", "0.001", modules=folder / "modules")
    module = re.findall(r"multiply_add of module (\d+):", "\n".join(driver.calls))[0]
    registers, spilled = assemble(ptxas, folder / "modules" / f"{module}.ptx", 80)
    print(f"the device's peak: {registers} registers a thread")
    check(14 <= registers <= 32 and spilled == 0, "registers", registers, "spilled", spilled)


def nets_with_all_keys():
    """Of models/, but for those whose every key a net before them has."""
    known, nets = set(), []
    for net in sorted(path.stem for path in models.glob("*.json")):
        said = run(resnetc(), "inspect", models / f"{net}.json", "--target", "host-cuda", "--format", "json").stdout
        keys = {kernel["key"] for kernel in json.loads(said)["kernels"]}
        if not keys <= known:
            nets.append(net)
        known |= keys
    print(f"{len(known)} keys, all in {', '.join(nets)}", flush=True)
    return nets


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--capabilities", type=int, nargs="+", default=[86])
    parser.add_argument("--nets", nargs="+")
    options = parser.parse_args()
    ptxas = find_ptxas()
    with temporary_folder() as folder:
        check_peak(ptxas, folder)
    seen = set()
    for net in options.nets or nets_with_all_keys():
        for capability in options.capabilities:
            with temporary_folder() as folder:
                check_net(ptxas, folder, seen, capability, *net.split(":"))
    print(f"{len(seen)} modules assembled")


main()
