#!/usr/bin/env python3
"""bench/gpu/measure.py without a GPU: programs on an OpenCL device, PyTorch on the CPU with stand-ins for what it asks of
CUDA. Logits are compared for real, every figure and table is made, and what fails costs itself alone.

Runs with a Python that has torch and torchvision (Debian's python3-torch and python3-torchvision); skipped without."""

import contextlib
import io
import json
import re
import shutil
import sys

from support import CudaDriver, check, environment, models, resnetc, root, run, skip, temporary_folder

try:
    import torch
    import torchvision
except ImportError as problem:
    skip(f"{sys.executable} has no torch and torchvision ({problem}): scripts/setup --tests installs them")

sys.path.insert(0, str(root / "bench" / "gpu"))
import measure
import table
import torch_resnet


class Graph:
    """Records nothing, so that replaying it takes no time."""

    def replay(self):
        pass


class Stream:
    def wait_stream(self, other):
        pass


def stand_in_for_cuda():
    """Tensors and modules stay where they are."""
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self
    torch.cuda.Stream, torch.cuda.CUDAGraph, torch.cuda.current_stream = Stream, Graph, Stream
    torch.cuda.stream = torch.cuda.graph = lambda _: contextlib.nullcontext()
    torch.cuda.synchronize = lambda: None


def options_for(folder, *words):
    return measure.parse(["--resnetc", resnetc(), "--models", str(models), "--target", "host-opencl", "--nets", "resnet18",
                          "--batches", "1", "2", "--tune", "0", "--rounds", "2", "--seconds", "0.02",
                          "--db", str(folder / "records.jsonl"), "--json", str(folder / "figures.json"), *words])


def normalisations(model):
    return sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


def check_nets():
    """PyTorch's nets are torchvision's."""
    for net in ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"):
        own, theirs = torch_resnet.resnet(models / f"{net}.json"), getattr(torchvision.models, net)(weights=None).eval()
        with torch.inference_mode():
            for tensor in theirs.state_dict().values():
                if tensor.ndim == 1:  # of a normalisation, else 0 or 1 throughout
                    tensor.uniform_(0.5, 1.5)
            own.load_state_dict(theirs.state_dict())
            x = torch.randn(2, 3, 64, 64)
            check(torch.equal(own(x), theirs(x)), net, "is another net")
            folded = torch_resnet.folded(own)
            check(normalisations(own) and not normalisations(folded), net, "is not folded")
            difference = float((folded(x) - own(x)).abs().max() / own(x).abs().max())
            check(0 < difference < 1e-5, net, "folded is another net:", difference)
        fresh = torch_resnet.resnet(models / f"{net}.json")
        own, theirs = (float(model.layer1[0].conv1.weight.std()) for model in (fresh, theirs))
        check(abs(own / theirs - 1) < 0.05, net, "begins with other weights", own, theirs)
    for net in ("resnet50_v1", "resnet50d", "cifar10_resnet20", "preact_resnet18"):
        try:
            torch_resnet.resnet(models / f"{net}.json")
        except torch_resnet.NoTorchForm as problem:
            check(str(problem).startswith(f"{net}: no ResNet of torchvision's"), problem)
        else:
            check(False, net, "is computed as something else")


def check_no_peer(folder):
    """A PyTorch that cannot be loaded, and no GPU or one on which nothing is right: two messages."""
    (folder / "torch.py").write_text("raise OSError('libcudart.so.99: cannot open shared object file')\n")
    command = (sys.executable, root / "bench" / "gpu" / "measure.py", "--resnetc", resnetc(), "--models", models)

    def last_message(*options, **variables):
        bare = environment(PYTHONPATH=folder, LD_LIBRARY_PATH=folder, XDG_CACHE_HOME=folder / "cache", TMPDIR=folder,
                           **variables)
        said = run(*command, *options, env=bare, status=1).stderr.splitlines()
        print(*said, sep="\n")
        check(len(said) == 2 and said[0].startswith("no PyTorch (libcudart.so.99: cannot open shared object file): "), said)
        return said[1]

    (folder / "libcuda.so.1").write_text("no library\n")
    check(last_message().startswith("bench/gpu: digits_resnet8: no driver: libcuda.so.1 is not there; "), "no driver")
    CudaDriver.build(folder)
    check("there is no CUDA device 3: there is 1: 0 stand-in 0" in last_message("--device", 3), "--device 3")
    check("has compute capability 7.5, the kernels need 8.6" in last_message(STAND_IN_CAPABILITY=75), "too old a device")
    check("bench/gpu: digits_resnet8: self-test failed: " in last_message(), "a driver that computes nothing")


def measured(folder, options, peer):
    """What is printed, the figures and what failed."""
    failures, printed = measure.Failures(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        measure.run(options, peer, folder, failures)
    figures = json.loads(options.json.read_text()) if options.json.exists() else {"cells": []}
    options.json.unlink(missing_ok=True)
    return printed.getvalue(), figures, failures.texts


def check_measured(folder):
    before = folder / "figures.json"
    before.write_text("of before")
    with before.open() as still_open:
        text, figures, failures = measured(folder, options_for(folder), torch)
        check(still_open.read() == "of before", "the figures are written in place: a kill may leave half of them")
    check(not list(folder.glob(".figures.json*")), "what is written beside it stays")
    check(not failures and figures["failures"] == [] and figures["rounds"] == 2, failures)
    names = {f"{kind}, {precision}, {layout}" for kind in ("eager", "graph", "host to host")
             for precision in ("float32", "TF32") for layout in ("contiguous", "channels_last")} | set(table.OURS)
    check(len(figures["cells"]) == 2, figures)
    check(figures["versions"]["torch"] == torch.__version__ and "cudnn" in figures["versions"], figures["versions"])
    for cell, batch in zip(figures["cells"], (1, 2)):
        check(cell["batch"] == batch and "logits differ from PyTorch's by " in cell["checked"], cell)
        check(set(cell["median_ms"]) == names and all(ms > 0 for name, ms in cell["median_ms"].items()
                                                      if not name.startswith("graph")), cell)
    print(text)
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    check(len(rows) == 4 and len({len(row) for row in rows}) == 1, text)


def check_failures(folder):
    """Another net's logits; a GPU that has no room for PyTorch."""
    peer = measure.Torch(torch, models, "resnet18", folder)
    cell = measure.Cell(options_for(folder), measure.Budget(600), "resnet18", 1, peer.weights, folder, folder / "records.jsonl")
    cell.compile()
    print(f"logits differ by {peer.check(cell):.1e}")
    with torch.no_grad():
        peer.model.fc.bias[7] += 0.01 * float(peer.model.fc.weight.abs().max())
        peer.model.layer1[0].conv1.weight[0] += 0.01
    check(normalisations(peer.model) and not normalisations(peer.timed), "which net is checked, which timed")
    peer.model.forward = lambda x: check(False, "the net that is timed is not the folded one")
    check(len(peer.measure(1, 0)) == 12, "PyTorch's figures")
    del peer.model.forward
    try:
        peer.check(cell)
    except measure.Failed as problem:
        print(problem)
    else:
        check(False, "logits of other weights pass")

    def no_room(self, batch, seconds):
        raise RuntimeError("CUDA out of memory")

    usual, measure.Torch.measure = measure.Torch.measure, no_room
    text, figures, failures = measured(folder, options_for(folder, "--batches", "1", "--rounds", "1"), torch)
    measure.Torch.measure = usual
    check(failures == ["resnet18, batch 1, PyTorch: CUDA out of memory"] and figures["failures"] == failures, failures)
    check(set(figures["cells"][0]["median_ms"]) == set(table.OURS) and text.count(" failed |") == 5, text)

    # A net that PyTorch has no form of is measured alone.
    words = ("--nets", "digits_resnet8", "resnet18", "--batches", "1", "--rounds", "1")
    text, figures, failures = measured(folder, options_for(folder, *words), torch)
    check(len(failures) == 1 and re.fullmatch("digits_resnet8, PyTorch: .*", failures[0]), failures)
    alone, beside = figures["cells"]
    check("self-test passed" in alone["checked"] and set(alone["median_ms"]) == set(table.OURS), alone)
    check("logits differ from PyTorch's" in beside["checked"] and len(beside["median_ms"]) > len(table.OURS), beside)
    check(text.count("| digits_resnet8, 1 | ") == 1 and text.count(" failed |") == 5, text)

    # A net that does not compile; its status.
    few = folder / "models"
    few.mkdir()
    shutil.copytree(models / "labels", few / "labels")
    shutil.copy(models / "digits_resnet8.json", few)
    (few / "wrong_net.json").write_text("{}")
    words = ("--nets", "wrong_net", "digits_resnet8", "--batches", "1", "--rounds", "1", "--models", str(few))
    text, figures, failures = measured(folder, options_for(folder, *words), None)
    check(len(failures) == 1 and re.match("wrong_net, batch 1: (.|\n)*wrong_net.json", failures[0]), failures)
    check([cell["net"] for cell in figures["cells"]] == ["digits_resnet8"] and "| digits_resnet8, 1 | " in text, text)
    check(all(figures["cells"][0]["median_ms"].values()), "the figures of a cell that did not fail")
    command = (sys.executable, root / "bench" / "gpu" / "measure.py", "--resnetc", resnetc(), "--target", "host-opencl",
               "--tune", 0, "--seconds", "0.02", *words)
    check("bench/gpu: 1 failed, as said above" in run(*command, status=1).stderr, "its status")


def check_budget():
    budget = measure.Budget(100)
    check(abs(budget.for_process() - 15) < 0.1, budget.for_process())
    check(99 < budget.left() <= 100 and abs(budget.for_tuning(5) - (70 - 5 * 10)) < 0.5, budget.for_tuning(5))


def check_written():
    """Whoever gave the time may end all of it: what was measured is written at once, and after its end nothing is."""
    options = measure.parse(["--rounds", "2"])
    failures, written = measure.Failures(), []

    class Cell:
        net = name = "a cell"

        def __init__(self, then=lambda: None):
            self.then = then

        def benchmark(self):
            self.then()
            return {"kernels": 1}

    def write(samples, rounds):
        written.append(([len(sample.get("resnetc, kernels", [])) for sample in samples], rounds))

    budget = measure.Budget(100)
    measure.measure(options, budget, [(Cell(), ""), (Cell(), "")], {}, failures, write)
    check(written == [([1, 0], 0), ([1, 1], 0), ([1, 1], 1), ([2, 1], 1), ([2, 2], 1), ([2, 2], 2)], written)
    check(not failures.texts, failures.texts)
    written.clear()

    def spend():
        budget.end -= 100

    measure.measure(options, budget, [(Cell(spend), ""), (Cell(), "")], {}, failures, write)
    check(written == [([1, 0], 0), ([1, 0], 1)], written)
    check(failures.texts == ["a cell: there is no time left to measure it"], failures.texts)

    # In a later round it costs no cell its figures.
    written.clear()
    failures, budget, turns = measure.Failures(), measure.Budget(100), []

    def spend_in_round_two():
        turns.append(1)
        if len(turns) == 2:
            spend()

    cells = [(Cell(spend_in_round_two), ""), (Cell(), "")]
    samples = measure.measure(options, budget, cells, {}, failures, write)
    check(written == [([1, 0], 0), ([1, 1], 0), ([1, 1], 1), ([2, 1], 1)], written)
    check(len(samples) == 2 and not failures.texts, failures.texts)


def main():
    check_budget()
    check_written()
    check_nets()
    with temporary_folder() as folder:
        check_no_peer(folder)
    with temporary_folder() as folder:
        probe = folder / "probe"
        run(resnetc(), "compile", models / "digits_resnet8.json", "-w", "random:1", "-o", probe, "--emit", "exe",
            "--target", "host-opencl")
        done = run(probe / "digits_resnet8", "--list-devices", status=None)
        if done.returncode != 0:
            skip(f"{done.stderr.strip()}; scripts/setup --tests brings PoCL")
        stand_in_for_cuda()
        check_measured(folder)
        check_failures(folder)


if __name__ == "__main__":
    main()
